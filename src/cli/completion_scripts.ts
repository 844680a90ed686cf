/** What `skerry completion` prints. Each asks the command that the user typed, and shows what it answers. */

// bash splits words at `@`, `=` and `:` as well, so the line is split anew here, and of each candidate only what bash counts as the word
// is given back: what comes behind the last of those, and with `@` that too.
const bash = String.raw`# bash completion of skerry
_skerry() {
  local line=${'$'}{COMP_LINE:0:COMP_POINT} current='' breaks=${'$'}{COMP_WORDBREAKS//[^@=:]/} head='' answer word
  local -a words
  read -ra words <<<"$line"
  if [[ $line == *[[:space:]] ]]; then words+=(''); fi
  current=${'$'}{words[-1]}
  if [[ -n $breaks && $current == *["$breaks"]* ]]; then head=${'$'}{current%"${'$'}{current##*["$breaks"]}"}; fi
  head=${'$'}{head%@}
  COMPREPLY=()
  answer=$("${'$'}{words[0]/#\~/$HOME}" __complete "${'$'}{words[@]:1}" 2>/dev/null) || return 0
  if [[ $answer == :files ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "${'$'}{current#"$head"}")
    return 0
  fi
  while IFS=$'\t' read -r word _; do
    if [[ -n $word ]]; then COMPREPLY+=("${'$'}{word#"$head"}"); fi
  done <<<"$answer"
}
complete -F _skerry skerry
`;

const zsh = String.raw`#compdef skerry
# zsh completion of skerry
_skerry() {
  local -a lines candidates
  local line word about
  lines=("${'$'}{(@f)$("${'$'}{(@Q)words[1]}" __complete "${'$'}{(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
  if [[ ${'$'}{lines[1]} == :files ]]; then
    if [[ $PREFIX == --*=* ]]; then compset -P '*='; fi
    _files
    return
  fi
  for line in $lines; do
    word=${'$'}{${'$'}{line%%$'\t'*}//:/\\:}
    about=${'$'}{line#*$'\t'}
    candidates+=("$word${'$'}{about:+:$about}")
  done
  _describe -t skerry skerry candidates
}
if [[ ${'$'}{funcstack[1]} == _skerry ]]; then _skerry "$@"; else compdef _skerry skerry; fi
`;

const fish = String.raw`# fish completion of skerry
function __skerry_complete
    set -l words (commandline -opc)
    set -l answer ($words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null)
    if test "$answer[1]" = :files
        set -l option (string match -r -- '^--[a-z-]+=' (commandline -ct))
        __fish_complete_path (string replace -r -- '^--[a-z-]+=' '' (commandline -ct)) | string replace -r -- '^' "$option"
    else
        printf '%s\n' $answer
    end
end
complete -c skerry -e
complete -c skerry -f -a '(__skerry_complete)'
`;

export const completionScripts = { bash, zsh, fish } as const;
