# Completion for fish of carpctl(8) and the links that only it has. What may come next is asked of the program, which
# reads it from its own tables; nothing is listed here. Install it in /usr/share/fish/vendor_completions.d.

function __carpctl_candidates
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] complete $words[2..-1] "$current" 2>/dev/null)
    switch "$lines[1]"
        case :files
            __fish_complete_path "$current"
        case :named-files
            # NAME=FILE: the name stands before each path.
            set -l parts (string split -m1 = -- "$current")
            if set -q parts[2]
                __fish_complete_path "$parts[2]" | string replace -r '^' "$parts[1]="
            end
        case :directories
            __fish_complete_directories "$current"
        case :hosts
            # In a list, the last host is completed.
            __fish_print_hostnames | string replace -r '^' (string replace -r '[^,]*$' '' -- "$current")
        case '*'
            printf '%s\n' $lines
    end
end

for command in carpctl carpd ifstated netstart
    complete -c $command -f -a '(__carpctl_candidates)'
end
