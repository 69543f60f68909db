complete -c mail-relayd -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-relayd -l log -d 'The form of the log on stderr' -r -f -a "text\t'`TIME LEVEL message key=value ...`; to the journal without time and level, which it keeps itself'
json\t'One JSON object: `time`, `level`, `message` and the fields'"
complete -c mail-relayd -l ready-fd -d 'Once everything is served, write a line of JSON with the listeners\' addresses to this descriptor' -r
complete -c mail-relayd -l stdio -d 'Serve one session on stdin and stdout, as that listener would, and end' -r -f -a "smtp\t''
submission\t''
submissions\t''
lmtp\t''
local\t''"
complete -c mail-relayd -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-relayd -s v -l verbose -d 'Say more on stderr; twice: everything'
complete -c mail-relayd -s q -l quiet -d 'Say only what is wrong'
complete -c mail-relayd -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mail-relayd -s V -l version -d 'Print version'
