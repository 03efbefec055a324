package service

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"unicode"

	"github.com/millrace/millrace/router/scaffold"
)

type newCmd struct {
	Service   newServiceCmd   `cmd:"" default:"withargs" help:"Write a new service with one aggregate, its tests, and what runs it, into an empty folder (this is the default)."`
	Aggregate newAggregateCmd `cmd:"" help:"Write a new aggregate with a read model into the service of this folder."`
	Command   newCommandCmd   `cmd:"" help:"Write a new command with its event into an aggregate of the service of this folder."`
	Reaction  newReactionCmd  `cmd:"" help:"Write a new reaction, which answers an event with a command, into the service of this folder."`
}

type newServiceCmd struct {
	Dir       string `arg:"" help:"The folder: empty, or not there yet." placeholder:"DIR"`
	Module    string `help:"The path of the service's module, such as example.com/shop." placeholder:"PATH"`
	Aggregate string `help:"The first aggregate, a kind of thing with commands of its own, such as order or purchase-order." placeholder:"NAME"`
	Plural    string `help:"The aggregate's plural, for the paths of queries, such as orders. Without it: a guess." placeholder:"NAME"`
	Replace   string `help:"Take Millrace from a checkout in this folder, not from the module proxy." placeholder:"DIR"`
}

// Help says what is asked.
func (newServiceCmd) Help() string {
	return `Without --module or --aggregate, and on a terminal, the command asks for them.

The service builds, passes its tests and runs: main.go, domain.go, the aggregate in handlers, a read model in
projections, tests of each and of the whole, Makefile, Dockerfile, compose.yaml, README.md.`
}

// Run writes the service, and lets the go command note the modules.
func (c newServiceCmd) Run(in *invocation) error {
	s := scaffold.Service{Dir: c.Dir, Checkout: c.Replace}
	if c.Replace == "" {
		if s.Release = release(); s.Release == "" {
			return fmt.Errorf("this Millrace is no release on the module proxy: name the folder of a checkout with --replace, such as --replace ../millrace; %w", errUsage)
		}
	}
	if err := scaffold.CheckDir(c.Dir); err != nil {
		return err
	}
	var err error
	questions := newQuestions(in)
	s.Module, err = questions.ask("Module path", "--module", "example.com/"+folderName(c.Dir), c.Module, scaffold.CheckModule)
	if err != nil {
		return err
	}
	name, err := questions.ask("First aggregate, a kind of thing with commands of its own", "--aggregate", "order", c.Aggregate, func(name string) error {
		_, err := scaffold.NamesOf(name, c.Plural)
		return err
	})
	if err != nil {
		return err
	}
	if s.Aggregate, err = scaffold.NamesOf(name, c.Plural); err != nil {
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	if c.Plural == "" && questions.asked {
		plural, err := questions.ask("Plural of "+s.Aggregate.Name, "--plural", s.Aggregate.Plural, "", func(plural string) error {
			_, err := scaffold.NamesOf(name, plural)
			return err
		})
		if err != nil {
			return err
		}
		if s.Aggregate, err = scaffold.NamesOf(name, plural); err != nil {
			return err
		}
	}
	written, err := s.Write()
	if err != nil {
		return err
	}
	fmt.Fprintf(in.stdout, "module %s, with the aggregate %s (plural: %s)\n\n", s.Module, s.Aggregate.Name, s.Aggregate.Plural)
	printWritten(in.stdout, c.Dir, written)
	fmt.Fprintf(in.stdout, "\ngo mod tidy, in %s\n", c.Dir)
	if err := tidy(in, c.Dir); err != nil {
		return fmt.Errorf("the files are there, but go mod tidy failed in %s: %w", c.Dir, err)
	}
	fmt.Fprint(in.stdout, "\nNext:\n")
	if filepath.Clean(c.Dir) != "." {
		fmt.Fprintf(in.stdout, "  cd %s\n", quoted(c.Dir))
	}
	fmt.Fprint(in.stdout, "  make test\n  make run\n")
	return nil
}

// quoted is a folder as a shell takes the folder.
func quoted(dir string) string {
	if strings.ContainsFunc(dir, func(c rune) bool { return unicode.IsSpace(c) || strings.ContainsRune("'\"\\$`*?;&|<>()", c) }) {
		return "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	}
	return dir
}

// tidy lets the go command note all modules with their checksums.
func tidy(in *invocation, dir string) error {
	cmd := exec.CommandContext(in.ctx, "go", "mod", "tidy")
	cmd.Dir, cmd.Env = dir, in.environ
	cmd.Stdout, cmd.Stderr = in.stderr, in.stderr
	return cmd.Run()
}

type newAggregateCmd struct {
	Name   string `arg:"" help:"The aggregate, such as order or purchase-order."`
	Plural string `help:"The plural, for the paths of queries, such as orders. Without it: a guess." placeholder:"NAME"`
}

// Run writes the aggregate.
func (c newAggregateCmd) Run(in *invocation) error {
	names, err := scaffold.NamesOf(c.Name, c.Plural)
	if err != nil {
		return fmt.Errorf("%w; %w", err, errUsage)
	}
	written, err := scaffold.NewAggregate(".", names)
	if err != nil {
		return err
	}
	fmt.Fprintf(in.stdout, "aggregate %s, plural %s\n\n", names.Name, names.Plural)
	printWritten(in.stdout, "", written)
	return byHand(written)
}

type newCommandCmd struct {
	Name      string `arg:"" help:"The command: ship-order, or a verb alone, such as ship, which gets the aggregate's name."`
	Aggregate string `arg:"" help:"The aggregate, such as order."`
	Event     string `help:"The event, such as order-shipped. Without it: the command in the past tense, a guess." placeholder:"NAME"`
}

// Run writes the command.
func (c newCommandCmd) Run(in *invocation) error {
	written, err := scaffold.NewCommand(".", c.Name, c.Aggregate, c.Event)
	if err != nil {
		return err
	}
	fmt.Fprintf(in.stdout, "command %s, event %s\n\n", written.Command, written.Event)
	printWritten(in.stdout, "", written)
	if err := byHand(written); err != nil {
		return err
	}
	fmt.Fprint(in.stdout, "\nNext: the rule in Decide, the change of the state in Apply, and members of both. Names and bodies stay for ever\nonce a release has written them.\n")
	return nil
}

type newReactionCmd struct {
	Name    string `arg:"" help:"The reaction, such as shipping."`
	Event   string `help:"The event to answer, such as order-placed. Without it: the first event of the first aggregate." placeholder:"NAME"`
	Command string `help:"The command to send, such as send-parcel. Without it: the first command whose members the event has." placeholder:"NAME"`
}

// Run writes the reaction.
func (c newReactionCmd) Run(in *invocation) error {
	written, err := scaffold.NewReaction(".", c.Name, c.Event, c.Command)
	if err != nil {
		return err
	}
	fmt.Fprintf(in.stdout, "reaction %s: %s follows %s\n\n", written.Reaction, written.Command, written.Event)
	printWritten(in.stdout, "", written)
	if err := byHand(written); err != nil {
		return err
	}
	if len(written.Missing) > 0 {
		fmt.Fprintf(in.stdout, "\nThe event has no %s: set what the command needs, in the reaction and in its test.\n", strings.Join(written.Missing, ", "))
	}
	fmt.Fprint(in.stdout, "\nNext: answers to other events, and to how the command ended. The name stays for ever once a release has run the\nreaction, and the log keeps what the reaction has sent.\n")
	return nil
}

// printWritten lists the files.
func printWritten(w io.Writer, dir string, written scaffold.Written) {
	for _, path := range written.Created {
		fmt.Fprintf(w, "  wrote    %s\n", filepath.Join(dir, path))
	}
	for _, path := range written.Changed {
		fmt.Fprintf(w, "  changed  %s\n", filepath.Join(dir, path))
	}
}

// byHand is an error with the lines that a person must add.
func byHand(written scaffold.Written) error {
	var text strings.Builder
	for _, place := range written.ByHand {
		fmt.Fprintf(&text, "\n%s, %s:\n", place.File, place.Where)
		for _, line := range place.Lines {
			fmt.Fprintf(&text, "  %s\n", line)
		}
	}
	if text.Len() == 0 {
		return nil
	}
	return fmt.Errorf("the new files are there, but the place for some lines was not found; add these by hand\n%s", strings.TrimSuffix(text.String(), "\n"))
}

var releaseForm = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)[.0-9]*)?$`)

// release is the version of Millrace in this program, "" if the module proxy
// can't have the version.
func release() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return releaseOf(info)
}

func releaseOf(info *debug.BuildInfo) string {
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == routerModule && m.Replace == nil && releaseForm.MatchString(m.Version) {
			return m.Version
		}
	}
	return ""
}

// folderName is the name of a folder as a part of a module's path.
func folderName(dir string) string {
	if path, err := filepath.Abs(dir); err == nil {
		dir = path
	}
	return strings.ToLower(strings.ReplaceAll(filepath.Base(dir), " ", "-"))
}
