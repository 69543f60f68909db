//! Where an account's mail lies, from a template with `{user}` and `{domain}`.

/// A template that can't lead out of its folder, whatever a user is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    template: String,
}

impl Location {
    /// Refuses unknown names in braces.
    pub fn parse(template: &str) -> Result<Location, String> {
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            let tail = rest.get(at..).unwrap_or_default();
            rest = match tail.strip_prefix("{user}").or_else(|| tail.strip_prefix("{domain}")) {
                Some(rest) => rest,
                None => {
                    return Err(format!("`{template}`: only {{user}} and {{domain}} may stand in braces"));
                }
            };
        }
        if template.is_empty() || template.contains('\0') || template.split('/').any(|part| part == "..") {
            return Err(format!("`{template}` is no place for mail"));
        }
        Ok(Location { template: template.to_string() })
    }

    /// The place of `user` at `domain`; `None` when either can't be a file name or would lead elsewhere.
    pub fn of(&self, user: &str, domain: &str) -> Option<String> {
        let can_be_a_name = |part: &str| {
            !part.is_empty()
                && part.len() <= 255
                && !part.contains(['/', '\0', '{', '}'])
                && part != "."
                && part != ".."
        };
        if !can_be_a_name(user) || !can_be_a_name(domain) {
            return None;
        }
        // The domain goes in last but can't hold braces, and neither can the user: nothing is replaced twice.
        let place = self.template.replace("{user}", user).replace("{domain}", domain);
        (!place.split('/').any(|part| part == "..")).then_some(place)
    }

    /// The template itself.
    pub fn template(&self) -> &str {
        &self.template
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fill_the_template() {
        let location = Location::parse("/var/mail/{domain}/{user}").unwrap();
        assert_eq!(location.of("ann", "example.org").as_deref(), Some("/var/mail/example.org/ann"));
        assert_eq!(
            Location::parse("/home/{user}/Maildir").unwrap().of("o'b", "x").unwrap(),
            "/home/o'b/Maildir"
        );
    }

    #[test]
    fn no_name_leads_elsewhere() {
        let location = Location::parse("/var/mail/{domain}/.{user}").unwrap();
        for (user, domain) in [
            ("..", "example.org"),
            (".", "example.org"),
            ("", "example.org"),
            ("../../etc", "example.org"),
            ("a/b", "example.org"),
            ("a\0b", "example.org"),
            ("{domain}", "example.org"),
            ("ann", ".."),
            ("ann", "a/b"),
            ("ann", ""),
        ] {
            assert_eq!(location.of(user, domain), None, "{user}@{domain}");
        }
    }

    #[test]
    fn odd_templates_are_refused() {
        for template in ["", "/{home}", "/{user", "/user}", "/var/../{user}", "..", "{{user}}"] {
            assert!(Location::parse(template).is_err(), "{template}");
        }
    }
}
