complete -c mail-fetch -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-fetch -l into -d 'Put messages into this Maildir; - writes an mbox to stdout' -r -F
complete -c mail-fetch -l exec-timeout -d 'End a program that takes longer than this for a message, such as 30s; else 5m' -r
complete -c mail-fetch -l state -d 'Keep in this directory what was fetched' -r -F
complete -c mail-fetch -l folder -d 'Fetch this folder, as the server names it; may be given more than once' -r
complete -c mail-fetch -l tls-ca -d 'Trust the certificates in this file, too' -r -F
complete -c mail-fetch -l password-command -d 'The password is the first line that this command prints' -r
complete -c mail-fetch -l password-file -d 'The password is the first line of this file, which nobody else may read' -r -F
complete -c mail-fetch -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-fetch -s v -l verbose -d 'Say more on stderr; twice: everything'
complete -c mail-fetch -s q -l quiet -d 'Say only what is wrong'
complete -c mail-fetch -l json -d 'Print JSON, one object a line'
complete -c mail-fetch -l dry-run -d 'Say what would be done, and do nothing'
complete -c mail-fetch -l all-folders -d 'Fetch all folders'
complete -c mail-fetch -l keep -d 'Leave messages at the source; this is the default'
complete -c mail-fetch -l delete -d 'Delete messages at the source once they are safe here'
complete -c mail-fetch -s h -l help -d 'Print help'
complete -c mail-fetch -s V -l version -d 'Print version'
