complete -c mail-show -s h -l header -d 'Print the values of the header fields of this name, decoded, one a line' -r
complete -c mail-show -s p -l part -d 'Print, or save, the part of this number, decoded' -r
complete -c mail-show -s s -l save -d 'Save the attachments into this directory and print their paths' -r -F
complete -c mail-show -l help -d 'Print help'
complete -c mail-show -s 0 -l null -d 'Paths on stdin end in NUL'
complete -c mail-show -l json -d 'Print JSON, one object a line'
complete -c mail-show -s V -l version -d 'Print version'
