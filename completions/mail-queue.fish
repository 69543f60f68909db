# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mail_queue_global_optspecs
    string join \n C/config= check-config json h/help V/version
end

function __fish_mail_queue_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mail_queue_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mail_queue_using_subcommand
    set -l cmd (__fish_mail_queue_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mail-queue -n "__fish_mail_queue_needs_command" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-queue -n "__fish_mail_queue_needs_command" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-queue -n "__fish_mail_queue_needs_command" -l json -d 'Print JSON, one object a line'
complete -c mail-queue -n "__fish_mail_queue_needs_command" -s h -l help -d 'Print help'
complete -c mail-queue -n "__fish_mail_queue_needs_command" -s V -l version -d 'Print version'
complete -c mail-queue -n "__fish_mail_queue_needs_command" -f -a "list" -d 'Show every message'
complete -c mail-queue -n "__fish_mail_queue_needs_command" -f -a "show" -d 'Show all that is known of messages, or their text'
complete -c mail-queue -n "__fish_mail_queue_needs_command" -f -a "retry" -d 'Try waiting messages now'
complete -c mail-queue -n "__fish_mail_queue_needs_command" -f -a "hold" -d 'Keep messages until they are released'
complete -c mail-queue -n "__fish_mail_queue_needs_command" -f -a "release" -d 'Let held messages go, now'
complete -c mail-queue -n "__fish_mail_queue_needs_command" -f -a "remove" -d 'Take messages away, without a bounce'
complete -c mail-queue -n "__fish_mail_queue_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand list" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-queue -n "__fish_mail_queue_using_subcommand list" -l json -d 'Print JSON, one object a line'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand list" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand list" -s h -l help -d 'Print help'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand show" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-queue -n "__fish_mail_queue_using_subcommand show" -l json -d 'Print JSON, one object a line'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand show" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand show" -l message -d 'Print the messages themselves, as they will be sent'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand show" -s h -l help -d 'Print help'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand retry" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-queue -n "__fish_mail_queue_using_subcommand retry" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand retry" -l all -d 'Every message for which it makes sense'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand retry" -l json -d 'Print JSON, one object a line'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand retry" -s h -l help -d 'Print help'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand hold" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-queue -n "__fish_mail_queue_using_subcommand hold" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand hold" -l all -d 'Every message for which it makes sense'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand hold" -l json -d 'Print JSON, one object a line'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand hold" -s h -l help -d 'Print help'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand release" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-queue -n "__fish_mail_queue_using_subcommand release" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand release" -l all -d 'Every message for which it makes sense'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand release" -l json -d 'Print JSON, one object a line'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand release" -s h -l help -d 'Print help'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand remove" -s C -l config -d 'Read this configuration file and no other' -r -F
complete -c mail-queue -n "__fish_mail_queue_using_subcommand remove" -l check-config -d 'Check the configuration, say what is wrong with it, and do nothing else'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand remove" -l all -d 'Every message for which it makes sense'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand remove" -l json -d 'Print JSON, one object a line'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand remove" -s h -l help -d 'Print help'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand help; and not __fish_seen_subcommand_from list show retry hold release remove help" -f -a "list" -d 'Show every message'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand help; and not __fish_seen_subcommand_from list show retry hold release remove help" -f -a "show" -d 'Show all that is known of messages, or their text'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand help; and not __fish_seen_subcommand_from list show retry hold release remove help" -f -a "retry" -d 'Try waiting messages now'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand help; and not __fish_seen_subcommand_from list show retry hold release remove help" -f -a "hold" -d 'Keep messages until they are released'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand help; and not __fish_seen_subcommand_from list show retry hold release remove help" -f -a "release" -d 'Let held messages go, now'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand help; and not __fish_seen_subcommand_from list show retry hold release remove help" -f -a "remove" -d 'Take messages away, without a bounce'
complete -c mail-queue -n "__fish_mail_queue_using_subcommand help; and not __fish_seen_subcommand_from list show retry hold release remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
