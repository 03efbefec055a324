package service

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/config"
)

// notRun are the commands of the documents that a test can't run, by how they
// begin, and why.
var notRun = map[string]string{
	"go run ./app --config secure.yaml":        "TestSecurityDoc runs it",
	"go run ./app health --config secure.yaml": "TestSecurityDoc runs it",
	"curl --cacert ca.pem ":                    "TestSecurityDoc runs it",
	"make ":                                    "make need not be there, and make test runs this",
	"export ":                                  "it is for docker compose",
	"docker compose ":                          "needs a container engine: make stack-test runs it all there",
}

// docFiles are the documents whose commands are run.
func docFiles(t *testing.T) []string {
	t.Helper()
	more, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more = slices.DeleteFunc(more, func(name string) bool {
		base := filepath.Base(name)
		return slices.Contains([]string{"your-own-service.md", "clients.md", "public-topics.md"}, base) // testing/guide follows these
	})
	return append([]string{"../../README.md", "../../ARCHITECTURE.md"}, more...)
}

// Whoever follows a document from top to bottom sees what it shows: each
// command is run as it stands there, on ports of its own.
func TestDocsShowWhatHappens(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, file := range docFiles(t) {
		steps := slices.DeleteFunc(stepsOf(t, file), func(s step) bool {
			for begin := range notRun {
				if strings.HasPrefix(s.command, begin) {
					used[begin] = true
					return true
				}
			}
			return false
		})
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			r := newReader(t)
			for _, s := range steps {
				r.follow(s)
			}
		})
	}
	for begin := range notRun {
		if !used[begin] {
			t.Errorf("no document has a command %q any more", begin)
		}
	}
}

// step is a command in a document, and what the document says it prints.
type step struct {
	place   string // file:line
	command string
	output  string // "" if the document doesn't say
}

// stepsOf are the commands in a document's fences: each line of sh, and of
// console those behind a $, with their output below.
func stepsOf(t *testing.T, file string) (steps []step) {
	t.Helper()
	for _, f := range fencesOf(t, file) {
		for i, line := range f.lines {
			s := step{place: fmt.Sprintf("%s:%d", filepath.Base(file), f.line+1+i)}
			switch command, prompted := strings.CutPrefix(line, "$ "); {
			case f.language == "console" && prompted:
				s.command = command
				steps = append(steps, s)
			case f.language == "console" && i == 0:
				t.Errorf("%s: output of no command", s.place)
			case f.language == "console":
				steps[len(steps)-1].output += line + "\n"
			case f.language == "sh" && line != "" && !strings.HasPrefix(line, "#"):
				s.command = line
				steps = append(steps, s)
			}
		}
	}
	return steps
}

// fence is a block of a document that is shown as it is.
type fence struct {
	line     int // where it opens
	language string
	lines    []string
}

func fencesOf(t *testing.T, file string) (fences []fence) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	open := false
	for i, line := range strings.Split(string(text), "\n") {
		language, mark := strings.CutPrefix(line, "```")
		switch {
		case mark && open:
			open = false
		case mark && language == "":
			t.Errorf("%s:%d: a fence doesn't say what is in it", file, i+1)
			open = true
		case mark:
			fences = append(fences, fence{line: i + 1, language: language})
			open = true
		case open:
			last := &fences[len(fences)-1]
			last.lines = append(last.lines, line)
		}
	}
	return fences
}

// reader is somebody who follows a document, in a folder of their own.
type reader struct {
	t       *testing.T
	set     settings
	running []*started
	// addresses are those of this test, by those in the documents.
	addresses map[string]string
}

// started is a process that the reader has started.
type started struct {
	*process
	roles []config.Role
}

func newReader(t *testing.T) *reader {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	return &reader{
		t: t, addresses: map[string]string{},
		set: settings{
			"data_dir":                filepath.Join(t.TempDir(), "data"),
			"broker.address":          "localhost:0",
			"command_service.address": "localhost:0",
			"read_api.address":        "localhost:0",
			"admin.address":           "localhost:0",
		},
	}
}

// follow runs a command, and compares what it prints. A query is asked again
// for a while: the read model follows the log.
func (r *reader) follow(s step) {
	r.t.Helper()
	try := func() error {
		printed, err := r.shell(s.command)
		if err != nil {
			return err
		}
		return r.differs(s, printed)
	}
	var err error
	if args, ok := serving(s.command); ok {
		err = r.differs(s, r.serve(args).stdout.String())
	} else if strings.Contains(s.command, "-X POST") {
		err = try()
	} else {
		err = retry(r.t.Context(), try)
	}
	if err != nil {
		r.t.Fatalf("%s: %v", s.place, err)
	}
}

// serving says whether a command starts roles, and returns its arguments.
func serving(command string) (args []string, ok bool) {
	command, _, _ = strings.Cut(command, " #")
	rest, ok := strings.CutPrefix(command, "go run ./app")
	args = strings.Fields(rest)
	return args, ok && (len(args) == 0 || args[0] == "--config")
}

// serve starts roles in a terminal of their own. Those of them that run have
// been stopped before, by hand.
func (r *reader) serve(args []string) *process {
	r.t.Helper()
	file := ""
	if len(args) > 1 {
		file = shipped(r.t, filepath.Base(args[1]))
		args[1] = file
	}
	cfg, err := config.Load(file, nil, nil, config.Service{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.running = slices.DeleteFunc(r.running, func(p *started) bool {
		if !slices.ContainsFunc(p.roles, cfg.Has) {
			return false
		}
		p.signal(r.t, syscall.SIGINT)
		if code := p.exit(r.t, 10*time.Second); code != exitOK {
			r.t.Errorf("after Ctrl-C the exit code is %d", code)
		}
		return true
	})
	p := launch(r.t, r.set, args...)
	p.waitForBanner(r.t)
	p.waitUntilReady(r.t)
	r.running = append(r.running, &started{p, cfg.Roles})
	for documented, address := range map[string]string{
		cfg.Broker.Address:         p.at.Broker,
		cfg.CommandService.Address: p.at.Commands,
		cfg.ReadAPI.Address:        p.at.Queries,
		cfg.Admin.Address:          p.at.Admin,
	} {
		if address != "" {
			r.addresses[documented] = address
		}
	}
	r.set["kafka.brokers"] = r.addresses[cfg.Broker.Address]
	return p
}

// shell runs a command as it stands in the document, but for addresses, and
// returns what it prints.
func (r *reader) shell(command string) (string, error) {
	var pairs []string
	for documented, address := range r.addresses {
		pairs = append(pairs, documented, address)
	}
	command = strings.NewReplacer(append(pairs, "go run ./app", "app")...).Replace(command)
	cmd := exec.CommandContext(r.t.Context(), "sh", "-c", command)
	cmd.Dir = "../.."
	set := r.set.with(settings{"admin.address": r.addresses[config.Default().Admin.Address]})
	cmd.Env = append(set.environ(), "no_proxy=*")
	var failures strings.Builder
	cmd.Stderr = &failures
	printed, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", command, err, printed, &failures)
	}
	return string(printed), nil
}

// changing is what is another each time.
var changing = map[string]*regexp.Regexp{
	"TIME":       regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`),
	`"DAY"`:      regexp.MustCompile(`"\d{4}-\d\d-\d\d"`),
	"COMMAND-ID": regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`),
	"Date: DATE": regexp.MustCompile(`Date: .*`),
}

// differs compares what was printed with what the document shows.
func (r *reader) differs(s step, printed string) error {
	if s.output == "" {
		return nil
	}
	pairs := []string{"\r\n", "\n", r.set["data_dir"], config.Default().DataDir}
	for documented, address := range r.addresses {
		pairs = append(pairs, address, documented)
	}
	same := func(text string) string {
		text = strings.NewReplacer(pairs...).Replace(text)
		for name, pattern := range changing {
			text = pattern.ReplaceAllString(text, name)
		}
		return strings.TrimSpace(text)
	}
	if diff := cmp.Diff(same(s.output), same(printed)); diff != "" {
		return fmt.Errorf("%s\nprints (-document +now):\n%s", s.command, diff)
	}
	return nil
}
