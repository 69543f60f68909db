complete -c mail-serve -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-serve -l log -d 'The form of the log on stderr' -r -f -a "text\t'`TIME LEVEL message key=value ...`; to the journal without time and level, which it keeps itself'
json\t'One JSON object: `time`, `level`, `message` and the fields'"
complete -c mail-serve -l ready-fd -d 'Once everything is served, write a line of JSON with the listeners\' addresses to this descriptor' -r
complete -c mail-serve -l stdio -d 'Serve one session on stdin and stdout, as that listener would, and end' -r -f -a "imap\t''
imaps\t''
pop3\t''
pop3s\t''"
complete -c mail-serve -l user -d 'With --stdio: this account of the configuration is logged in from the start, and no password asked for' -r
complete -c mail-serve -l maildir -d 'With --stdio: this Maildir is served, whoever\'s it is, and no password asked for' -r -F
complete -c mail-serve -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-serve -s v -l verbose -d 'Say more on stderr; twice: everything'
complete -c mail-serve -s q -l quiet -d 'Say only what is wrong'
complete -c mail-serve -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mail-serve -s V -l version -d 'Print version'
