# Completion for bash of carpctl(8) and the links that only it has. What may come next is asked of the program, which
# reads it from its own tables; nothing is listed here. Source it, or install it as
# /usr/share/bash-completion/completions/carpctl.

_carpctl() {
  local IFS=$' \t\n' words current kept lines line
  # Bash takes words apart at colons and equals signs, where addresses and NAME=VALUE have them: read the line itself.
  read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
  [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && words+=("")
  current=${words[-1]}
  COMPREPLY=()
  mapfile -t lines < <("$1" complete "${words[@]:1}" 2>/dev/null)
  case ${lines[0]-} in
    # NAME=FILE: bash has taken it apart.
    :files | :named-files) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
    :directories) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
    # In a list, the last host is completed.
    :hosts) mapfile -t COMPREPLY < <(compgen -A hostname -P "${2%"${2##*,}"}" -- "${2##*,}") ;;
    *)
      # Of a word that was taken apart, only the last part is replaced.
      kept=${current%"${current##*[:=]}"}
      [[ $COMP_WORDBREAKS == *[:=]* ]] || kept=
      for line in "${lines[@]}"; do
        line=${line%%$'\t'*}
        COMPREPLY+=("${line#"$kept"}")
      done
      ;;
  esac
}

complete -F _carpctl carpctl carpd ifstated netstart
