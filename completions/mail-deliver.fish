complete -c mail-deliver -s d -l user -d 'Deliver to this account of the configuration: user, user@domain or user+folder@domain' -r
complete -c mail-deliver -l maildir -d 'Deliver into this Maildir; made when it is missing. No configuration is read' -r -F
complete -c mail-deliver -s f -l sender -d 'The envelope sender, for Return-Path; <> is the null sender' -r
complete -c mail-deliver -s r -l recipient -d 'The envelope recipient, for Delivered-To; user+folder@domain delivers into an existing folder' -r
complete -c mail-deliver -l folder -d 'Deliver into this folder; made when it is missing. Levels are parted by dots, or by slashes where there is one' -r
complete -c mail-deliver -l length -d 'The message has so many octets; when stdin has not, nothing is delivered' -r
complete -c mail-deliver -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-deliver -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-deliver -s v -l verbose -d 'Say more on stderr; twice: everything'
complete -c mail-deliver -s q -l quiet -d 'Say only what is wrong'
complete -c mail-deliver -s h -l help -d 'Print help'
complete -c mail-deliver -s V -l version -d 'Print version'
