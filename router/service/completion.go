package service

import (
	"strings"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"

	"github.com/millrace/millrace/router/config"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help says how to use the script.
func (completionCmd) Help() string {
	return strings.ReplaceAll(`For this shell, or for all when it stands in the shell's init file:

    source <(PROGRAM completion bash)
    source <(PROGRAM completion zsh)
    PROGRAM completion fish | source`, "PROGRAM", program)
}

// Run prints a script for the shell. The script makes the shell ask this
// program.
func (c completionCmd) Run(parsed *kong.Context) error {
	return (&kongcompletion.Completion{Shell: c.Shell, Code: true}).Run(parsed)
}

// completions answers a shell that asks for the possible next words, and ends
// the program. If a person has started the program, completions does nothing.
func completions(parser *kong.Kong, models []string) {
	keys := make([]string, 0, len(config.Keys()))
	for _, key := range config.Keys() {
		keys = append(keys, key.Name+"=")
	}
	kongcompletion.Register(parser,
		kongcompletion.WithPredictor("file", complete.PredictFiles("*.yaml")),
		kongcompletion.WithPredictor("read-model", complete.PredictSet(models...)),
		kongcompletion.WithPredictor("key", complete.PredictSet(keys...)),
	)
}
