# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mail_user_global_optspecs
    string join \n C/config= check-config file= json q/quiet h/help V/version
end

function __fish_mail_user_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mail_user_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mail_user_using_subcommand
    set -l cmd (__fish_mail_user_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mail-user -n "__fish_mail_user_needs_command" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-user -n "__fish_mail_user_needs_command" -l file -d 'The file of accounts, instead of the configuration\'s' -r -F
complete -c mail-user -n "__fish_mail_user_needs_command" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-user -n "__fish_mail_user_needs_command" -l json -d 'Print JSON, one object a line'
complete -c mail-user -n "__fish_mail_user_needs_command" -s q -l quiet -d 'Say only what is wrong'
complete -c mail-user -n "__fish_mail_user_needs_command" -s h -l help -d 'Print help'
complete -c mail-user -n "__fish_mail_user_needs_command" -s V -l version -d 'Print version'
complete -c mail-user -n "__fish_mail_user_needs_command" -f -a "add" -d 'Add an account; its password is asked for, or read from stdin'
complete -c mail-user -n "__fish_mail_user_needs_command" -f -a "list" -d 'List the accounts'
complete -c mail-user -n "__fish_mail_user_needs_command" -f -a "remove" -d 'Remove an account; its mail stays'
complete -c mail-user -n "__fish_mail_user_needs_command" -f -a "passwd" -d 'Set a password; it is asked for, or read from stdin'
complete -c mail-user -n "__fish_mail_user_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mail-user -n "__fish_mail_user_using_subcommand add" -l scheme -d 'How the password is stored' -r -f -a "scram-sha-256\t'Serves SCRAM and plain logins'
argon2id\t'Serves plain logins only; harder to guess from a stolen file'"
complete -c mail-user -n "__fish_mail_user_using_subcommand add" -l quota -d 'What it may keep: "500M", "2G"' -r
complete -c mail-user -n "__fish_mail_user_using_subcommand add" -l send-as -d 'An address besides its own that it may send as; may be given again' -r
complete -c mail-user -n "__fish_mail_user_using_subcommand add" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-user -n "__fish_mail_user_using_subcommand add" -l file -d 'The file of accounts, instead of the configuration\'s' -r -F
complete -c mail-user -n "__fish_mail_user_using_subcommand add" -l no-login -d 'No password: it gets mail, and nobody logs in'
complete -c mail-user -n "__fish_mail_user_using_subcommand add" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-user -n "__fish_mail_user_using_subcommand add" -l json -d 'Print JSON, one object a line'
complete -c mail-user -n "__fish_mail_user_using_subcommand add" -s q -l quiet -d 'Say only what is wrong'
complete -c mail-user -n "__fish_mail_user_using_subcommand add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mail-user -n "__fish_mail_user_using_subcommand list" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-user -n "__fish_mail_user_using_subcommand list" -l file -d 'The file of accounts, instead of the configuration\'s' -r -F
complete -c mail-user -n "__fish_mail_user_using_subcommand list" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-user -n "__fish_mail_user_using_subcommand list" -l json -d 'Print JSON, one object a line'
complete -c mail-user -n "__fish_mail_user_using_subcommand list" -s q -l quiet -d 'Say only what is wrong'
complete -c mail-user -n "__fish_mail_user_using_subcommand list" -s h -l help -d 'Print help'
complete -c mail-user -n "__fish_mail_user_using_subcommand remove" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-user -n "__fish_mail_user_using_subcommand remove" -l file -d 'The file of accounts, instead of the configuration\'s' -r -F
complete -c mail-user -n "__fish_mail_user_using_subcommand remove" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-user -n "__fish_mail_user_using_subcommand remove" -l json -d 'Print JSON, one object a line'
complete -c mail-user -n "__fish_mail_user_using_subcommand remove" -s q -l quiet -d 'Say only what is wrong'
complete -c mail-user -n "__fish_mail_user_using_subcommand remove" -s h -l help -d 'Print help'
complete -c mail-user -n "__fish_mail_user_using_subcommand passwd" -l scheme -d 'How the password is stored' -r -f -a "scram-sha-256\t'Serves SCRAM and plain logins'
argon2id\t'Serves plain logins only; harder to guess from a stolen file'"
complete -c mail-user -n "__fish_mail_user_using_subcommand passwd" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-user -n "__fish_mail_user_using_subcommand passwd" -l file -d 'The file of accounts, instead of the configuration\'s' -r -F
complete -c mail-user -n "__fish_mail_user_using_subcommand passwd" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-user -n "__fish_mail_user_using_subcommand passwd" -l json -d 'Print JSON, one object a line'
complete -c mail-user -n "__fish_mail_user_using_subcommand passwd" -s q -l quiet -d 'Say only what is wrong'
complete -c mail-user -n "__fish_mail_user_using_subcommand passwd" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mail-user -n "__fish_mail_user_using_subcommand help; and not __fish_seen_subcommand_from add list remove passwd help" -f -a "add" -d 'Add an account; its password is asked for, or read from stdin'
complete -c mail-user -n "__fish_mail_user_using_subcommand help; and not __fish_seen_subcommand_from add list remove passwd help" -f -a "list" -d 'List the accounts'
complete -c mail-user -n "__fish_mail_user_using_subcommand help; and not __fish_seen_subcommand_from add list remove passwd help" -f -a "remove" -d 'Remove an account; its mail stays'
complete -c mail-user -n "__fish_mail_user_using_subcommand help; and not __fish_seen_subcommand_from add list remove passwd help" -f -a "passwd" -d 'Set a password; it is asked for, or read from stdin'
complete -c mail-user -n "__fish_mail_user_using_subcommand help; and not __fish_seen_subcommand_from add list remove passwd help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
