package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/kafka/connection"
)

// cli is the command line.
type cli struct {
	Config string            `help:"Configuration file, YAML. Without it: the built-in defaults." placeholder:"FILE" env:"MILLRACE_CONFIG" completion-predictor:"file"`
	Set    map[string]string `help:"Set a key of the configuration, above file and environment." placeholder:"KEY=VALUE" mapsep:"none" completion-predictor:"key"`

	Version kong.VersionFlag `help:"Print the version and exit."`

	Serve       serveCmd       `cmd:"" default:"withargs" help:"Run the roles of the configuration (this is the default)."`
	Conf        configCmd      `cmd:"" name:"config" help:"Look at the configuration."`
	Parked      parkedCmd      `cmd:"" help:"The commands that could not be decided."`
	Reactions   reactionsCmd   `cmd:"" help:"The streams that are parked in reactions."`
	DeadLetters deadLettersCmd `cmd:"" help:"The messages that can't be decoded."`
	Projections projectionsCmd `cmd:"" help:"The read models."`
	Verify      verifyCmd      `cmd:"" help:"Prove the read models against the log, or repair them; exit 1 for a difference."`
	Publish     publishCmd     `cmd:"" help:"The public topics."`
	State       stateCmd       `cmd:"" help:"The state store of a command service."`
	Log         logCmd         `cmd:"" help:"The log."`
	Setup       setupCmd       `cmd:"" help:"Make or check the topics and the tables, and end. Each role does the same at its start."`
	Health      healthCmd      `cmd:"" help:"Ask whether the service on this machine is ready; exit 1 if not."`
	New         newCmd         `cmd:"" help:"Write a service, an aggregate or a command, as Go to go on from."`
	Docs        docsCmd        `cmd:"" help:"Documents for machines."`
	Completion  completionCmd  `cmd:"" help:"Print the completion script for a shell: bash, zsh or fish."`
}

// invocation is the surroundings of a command.
type invocation struct {
	ctx            context.Context
	cli            *cli
	service        *registered
	environ        []string
	stdout, stderr io.Writer
}

func (in *invocation) load() (config.Config, error) {
	return config.Load(in.cli.Config, in.environ, in.cli.Set, in.service.keyNames())
}

// usageError is the error of a wrong command line.
type usageError struct{}

// Error says where to look.
func (usageError) Error() string { return "see " + program + " --help" }

var (
	errUsage       error = usageError{}
	errDone              = errors.New("done") // kong has printed everything
	errInterrupted       = errors.New("interrupted")
)

// asFlags turns the words help and version, as many programs know them, into the
// flags: "help verify" is "verify --help".
func asFlags(args []string) []string {
	switch {
	case len(args) > 0 && args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case len(args) == 1 && args[0] == "version":
		return []string{"--version"}
	}
	return args
}

// commandNames are the first words of the command line.
func commandNames() []string {
	names := []string{"help", "version"}
	for field := range reflect.TypeFor[cli]().Fields() {
		if _, ok := field.Tag.Lookup("cmd"); ok {
			names = append(names, cmp.Or(field.Tag.Get("name"), kebab(field.Name)))
		}
	}
	return names
}

// kebab is a field's name as kong writes the command: DeadLetters is
// dead-letters.
func kebab(name string) string {
	var out strings.Builder
	for i, c := range name {
		if unicode.IsUpper(c) && i > 0 {
			out.WriteByte('-')
		}
		out.WriteRune(unicode.ToLower(c))
	}
	return out.String()
}

// advice adds to the error of a command line what kong doesn't know: a similar
// command, or the read models.
func (r *registered) advice(err error, args []string) string {
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) {
		return ""
	}
	text := wrong.Error()
	if strings.Contains(text, "<read-model>") {
		return ": the read models are " + strings.Join(r.names(), ", ")
	}
	for _, arg := range args {
		if text == "unexpected argument "+arg {
			if near := config.Nearest(arg, commandNames()); near != "" {
				return fmt.Sprintf(", did you mean %q?", near)
			}
		}
	}
	return ""
}

// command parses and runs a command line, and returns the exit code.
func command(ctx context.Context, d Domain, args, environ []string, stdout, stderr io.Writer) int {
	service, err := d.register()
	if err != nil {
		fmt.Fprintf(stderr, "%s: the service can't start: %s\n", program, err)
		return exitFailed
	}
	in := &invocation{ctx: ctx, cli: new(cli), service: service, environ: environ, stdout: stdout, stderr: stderr}
	done := -1
	parser, err := kong.New(in.cli,
		kong.Name(program),
		kong.Description(service.title+` takes commands over HTTP, keeps what happened in Kafka, and answers queries from read models.

Without a command all roles run in this process, with all data in ./data.`),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { done = code; panic(errDone) }), // --help and the like
		kong.Vars{"version": version(), "program": program, "stream": service.registry.Types()[0].Stream("1")},
		kong.Bind(in),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	err = untilDone(func() error {
		completions(parser, service.names())
		parsed, err := parser.Parse(asFlags(args))
		if err != nil {
			return fmt.Errorf("%w%s; %w", err, service.advice(err, args), errUsage)
		}
		if err = parsed.Run(); ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return errInterrupted
		}
		return err
	})
	if done >= 0 {
		return done
	}
	return exitCode(err, stderr)
}

// untilDone runs a function that kong may end early, for example after printing
// help. The process goes on.
func untilDone(run func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != errDone { //nolint:errorlint // the very value
				panic(r)
			}
		}
	}()
	return run()
}

// exitCode prints an error in plain lines, and returns the exit code.
func exitCode(err error, stderr io.Writer) int {
	var wrong *config.Errors
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		fmt.Fprintln(stderr, wrong)
		return exitUsage
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "%s: %s\n", program, err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "%s: %s\n", program, connection.Explain(err))
		return exitFailed
	}
}

type serveCmd struct{}

// Help explains the roles and the exit codes.
func (serveCmd) Help() string {
	return `Without a configuration all four roles run in this process: broker, command-service, query-service and read-api. A
file or --set roles=read-api,query-service picks some of them.

Ctrl-C or SIGTERM ends the process, once the work in flight is done; a second signal ends the process at once. Exit
codes: 0 ended as told, 1 failed, 2 the configuration or the command line is wrong.`
}

// Run runs the roles until the process is told to stop.
func (serveCmd) Run(in *invocation) error {
	cfg, sources, err := config.LoadWithSources(in.cli.Config, in.environ, in.cli.Set, in.service.keyNames())
	if err != nil {
		return err
	}
	m := &Process{Service: in.service, Config: cfg, Sources: sources, Stdout: in.stdout, Log: newLogger(cfg.Log, in.stderr)}
	return m.Run(in.ctx)
}

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check the configuration and print it whole, secrets masked."`
	Keys  configKeysCmd  `cmd:"" help:"List all keys: type, default, environment variable, meaning."`
}

type configCheckCmd struct{}

// Run prints the configuration in force.
func (configCheckCmd) Run(in *invocation) error {
	cfg, err := in.load()
	if err != nil {
		return err
	}
	_, err = io.WriteString(in.stdout, cfg.Masked())
	return err
}

type configKeysCmd struct{}

// Run lists the keys.
func (configKeysCmd) Run(in *invocation) error {
	table := tabwriter.NewWriter(in.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tDEFAULT\tENVIRONMENT\tMEANING")
	for _, key := range config.Keys() {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", key.Name, key.Default, key.Environment, key.Description)
	}
	return table.Flush()
}

// isTerminal says whether a writer is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
