package service

import (
	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"

	"github.com/millrace/millrace/router/config"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help says how to use what is printed.
func (completionCmd) Help() string {
	return `For this shell, or for all when it stands in the shell's init file:

    source <(app completion bash)
    source <(app completion zsh)
    app completion fish | source`
}

// Run prints what teaches the shell to ask this program.
func (c completionCmd) Run(parsed *kong.Context) error {
	return (&kongcompletion.Completion{Shell: c.Shell, Code: true}).Run(parsed)
}

// completions answers a shell that asks what could stand on the command line, and
// ends; it does nothing for a person who calls.
func completions(parser *kong.Kong) {
	keys := make([]string, 0, len(config.Keys()))
	for _, key := range config.Keys() {
		keys = append(keys, key.Name+"=")
	}
	kongcompletion.Register(parser,
		kongcompletion.WithPredictor("file", complete.PredictFiles("*.yaml")),
		kongcompletion.WithPredictor("key", complete.PredictSet(keys...)),
	)
}
