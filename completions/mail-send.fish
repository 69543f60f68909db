complete -c mail-send -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-send -s a -l account -d 'The account to use, by its name in the configuration' -r
complete -c mail-send -s f -l sender -d 'The envelope\'s sender; <> is the null sender. Otherwise it is the message\'s author' -r
complete -c mail-send -l server -d 'Send by this server: smtps://USER@HOST, smtp://HOST:PORT, lmtp://HOST or unix:/SOCKET' -r
complete -c mail-send -l tls-ca -d 'Trust the certificates in this file, too' -r -F
complete -c mail-send -l password-command -d 'The password is the first line that this command prints' -r
complete -c mail-send -l password-file -d 'The password is the first line of this file, which nobody else may read' -r -F
complete -c mail-send -l from -d 'Compose: who it is from' -r
complete -c mail-send -l to -d 'Compose: who it is for; may be given more than once' -r
complete -c mail-send -l cc -d 'Compose: who gets a copy' -r
complete -c mail-send -l bcc -d 'Compose: who gets a copy that nobody sees' -r
complete -c mail-send -l subject -d 'Compose: the subject' -r
complete -c mail-send -l attach -d 'Compose: a file to go along; may be given more than once' -r -F
complete -c mail-send -l body -d 'Compose: the text; - reads it from stdin, which is the default' -r
complete -c mail-send -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-send -s v -l verbose -d 'Say more on stderr; twice: everything'
complete -c mail-send -s q -l quiet -d 'Say only what is wrong'
complete -c mail-send -l json -d 'Print JSON, one object a line'
complete -c mail-send -l dry-run -d 'Say what would be done, and do nothing'
complete -c mail-send -s t -l read-recipients -d 'Send to the addresses of To, Cc and Bcc, too'
complete -c mail-send -s h -l help -d 'Print help'
complete -c mail-send -s V -l version -d 'Print version'
