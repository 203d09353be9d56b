/** The completions of a command after `--`: in each shell it is completed as it is by itself. Pure. */
import type { Shell } from "effect/cli/Completions"

/** Adds them to the completions of the program of this name. */
export const addTo = (script: string, shell: Shell, name: string): string => {
  const base = `_${name.replaceAll("-", "_")}`
  switch (shell) {
    case "bash":
      return script.replace(
        `\n${base}()\n{\n`,
        () => `\n${inBash(base)}${base}()\n{\n  ${base}--command "$@" && return\n`
      )
    case "zsh":
      return script.replace(`\n${base}() {\n`, () => `\n${base}() {\n${inZsh}`)
    case "fish":
      return script
        .replaceAll(`complete -c ${name} -n '`, () => `complete -c ${name} -n 'not ${afterDashes}; and `)
        .replace("\n\n", () => `\n\n${inFish(name)}`)
    case "powershell":
      return script
  }
}

// Without bash-completion the first word is a command, and the others are files. Bash 3.2 has no compopt.
const inBash = (base: string): string => `${base}--command()
{
  local _i _offset
  for ((_i = 1; _i < COMP_CWORD; _i++)); do
    [[ "\${COMP_WORDS[_i]}" == -- ]] && break
  done
  ((_i < COMP_CWORD)) || return
  for _offset in _comp_command_offset _command_offset; do
    declare -F "$_offset" > /dev/null || continue
    "$_offset" $((_i + 1))
    return 0
  done
  COMPREPLY=()
  ((COMP_CWORD == _i + 1)) && COMPREPLY=($(compgen -c -- "$2"))
  compopt -o default 2> /dev/null || COMPREPLY+=($(compgen -f -- "$2"))
  return 0
}

`

const inZsh = `  local -i dashes=\${words[(ie)--]}
  if (( dashes < CURRENT )); then
    shift dashes words
    (( CURRENT -= dashes ))
    _normal
    return
  fi
`

const afterDashes = "contains -- -- (commandline -opc)"

const inFish = (name: string): string => {
  const complete = `__${name.replaceAll("-", "_")}_command`
  return `function ${complete}
    set -l tokens (commandline -opc)
    set -e tokens[1..(contains -i -- -- $tokens)]
    set -l words
    for token in $tokens
        set -a words (string escape -- $token)
    end
    set -l current (commandline -ct)
    complete -C "$words $current"
end

complete -c ${name} -n '${afterDashes}' -f -a '(${complete})'
`
}
