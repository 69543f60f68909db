complete -c mail-list -l maildir -d 'The Maildir whose folders can be named; default: $MAILDIR, or Maildir in the home directory' -r -F
complete -c mail-list -s f -l from -d 'Only messages whose From field holds this text' -r
complete -c mail-list -s s -l subject -d 'Only messages whose Subject field holds this text' -r
complete -c mail-list -l since -d 'Only messages that arrived on this day or later: 2026-11-24, today, yesterday; or so long ago: 7d, 12h' -r
complete -c mail-list -s u -l unseen -d 'Only messages not yet seen'
complete -c mail-list -s l -l long -d 'Print a line a message for people also when stdout is no terminal'
complete -c mail-list -s 0 -l null -d 'Print paths, each ended by a NUL'
complete -c mail-list -l json -d 'Print JSON, one object a line'
complete -c mail-list -s h -l help -d 'Print help'
complete -c mail-list -s V -l version -d 'Print version'
