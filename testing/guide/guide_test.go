// Package guide follows docs/your-own-service.md to the letter, in an empty
// folder, as a reader would.
package guide

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	// The reader builds the machine: go test must run this package again when the
	// machine is another one.
	_ "github.com/millrace/millrace/router/service"
)

const top = "../.."

// The steps of the guide give a service whose answers are those in the guide.
// The code of the guide is as gofmt and go vet want code.
func TestYourOwnService(t *testing.T) {
	t.Parallel()
	clone := filepath.Join(t.TempDir(), "millrace") // stands for the clone
	if err := os.Mkdir(clone, 0o755); err != nil {
		t.Fatal(err)
	}
	r := newReader(t, clone)
	r.follow(filepath.Join(top, "docs", "your-own-service.md"))
	r.checkCode()
}

// checkCode finds code that is not as gofmt and go vet want code.
func (r *reader) checkCode() {
	r.t.Helper()
	r.must("go vet ./...")
	if unformatted := r.must("gofmt -l ."); unformatted != "" {
		r.t.Errorf("not gofmt'ed: %s", unformatted)
	}
}

// The READMEs of the examples show the answers of the examples.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bank", "hello"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), name)
			if err := os.CopyFS(folder, os.DirFS(filepath.Join(top, "examples", name))); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(folder, "data")); err != nil { // of somebody who tried the example
				t.Fatal(err)
			}
			r := newReader(t, folder)
			r.must("go mod edit -replace github.com/millrace/millrace=../millrace")
			r.follow(filepath.Join(top, "examples", name, "README.md"))
		})
	}
}

// block is a fence of a document.
type block struct {
	place    string // file:line
	file     string // named in bold above the fence, "" for none
	language string
	lines    []string
}

var boldLine = regexp.MustCompile(`^\*\*([\w./-]+)\*\*$`)

// blocksOf are the fences of a document. A fence below the bold name of a file
// is the file, or, as a diff, a change of the file.
func blocksOf(t *testing.T, document string) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	file, open := "", false
	for i, line := range strings.Split(string(text), "\n") {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open:
			open = false
		case fence:
			open = true
			blocks = append(blocks, block{place: fmt.Sprintf("%s:%d", filepath.Base(document), i+1), file: file, language: language})
		case open:
			last := &blocks[len(blocks)-1]
			last.lines = append(last.lines, line)
		case boldLine.MatchString(line):
			file = boldLine.FindStringSubmatch(line)[1]
		case strings.HasPrefix(line, "#"):
			file = ""
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no steps", document)
	}
	return blocks
}

// reader follows a document in a folder.
type reader struct {
	t        *testing.T
	folder   string
	checkout string
	server   *server
}

func newReader(t *testing.T, folder string) *reader {
	t.Helper()
	for _, tool := range []string{"curl", "make"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
	checkout, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	return &reader{t: t, folder: folder, checkout: checkout}
}

// follow takes all steps of a document.
func (r *reader) follow(document string) {
	r.t.Helper()
	for _, b := range blocksOf(r.t, document) {
		var err error
		switch {
		case b.language == "sh":
			err = r.runAll(b.lines)
		case b.language == "console":
			err = r.compareAll(b.lines)
		case b.language == "diff":
			err = r.change(b)
		case b.file != "":
			err = r.write(b)
		}
		if err != nil {
			r.t.Fatalf("%s: %v", b.place, err)
		}
	}
}

// write writes a file that the document shows whole.
func (r *reader) write(b block) error {
	path := filepath.Join(r.folder, filepath.FromSlash(b.file))
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("%s is there already", b.file)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Join(b.lines, "\n")+"\n"), 0o600)
}

// change makes the change of a diff: the old lines must stand in the file once.
func (r *reader) change(b block) error {
	path := filepath.Join(r.folder, filepath.FromSlash(b.file))
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var before, after strings.Builder
	for _, line := range b.lines {
		rest := strings.TrimPrefix(line, line[:min(1, len(line))]) + "\n"
		if !strings.HasPrefix(line, "+") {
			before.WriteString(rest)
		}
		if !strings.HasPrefix(line, "-") {
			after.WriteString(rest)
		}
	}
	if n := strings.Count(string(text), before.String()); n != 1 {
		return fmt.Errorf("the old lines are in %s %d times", b.file, n)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(text), before.String(), after.String(), 1)), 0o600)
}

// runAll runs the commands of a fence "sh", each of which must succeed.
func (r *reader) runAll(lines []string) error {
	for _, command := range lines {
		if folder, ok := strings.CutPrefix(command, "cd "); ok {
			r.folder = filepath.Join(r.folder, folder)
		} else if slices.Contains(serving, command) {
			if err := r.serve(command); err != nil {
				return err
			}
		} else if _, err := r.shell(command); err != nil {
			return err
		}
	}
	return nil
}

// compareAll runs the commands of a fence "console", and compares the output
// with the lines below each command. A query is asked again for a while: the
// read model follows the log.
func (r *reader) compareAll(lines []string) error {
	for len(lines) > 0 {
		command, ok := strings.CutPrefix(lines[0], "$ ")
		if !ok {
			return errors.New("output of no command")
		}
		n := 1
		for n < len(lines) && !strings.HasPrefix(lines[n], "$ ") {
			n++
		}
		want := strings.Join(lines[1:n], "\n")
		lines = lines[n:]
		if want == "" && strings.HasPrefix(command, "curl") {
			return fmt.Errorf("no answer is shown of %s", command)
		}
		try := func() error {
			got, err := r.shell(command)
			if diff := cmp.Diff(same(want), same(got)); err == nil && want != "" && diff != "" {
				err = fmt.Errorf("%s\nprints (-document +now):\n%s", command, diff)
			}
			return err
		}
		var err error
		if strings.Contains(command, "-X POST") {
			err = try()
		} else {
			err = eventually(r.t.Context(), try)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// volatile are the parts of an output that are others each time.
var volatile = map[string]*regexp.Regexp{
	"TIME":        regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`),
	"COMMAND-ID":  regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`),
	"in DURATION": regexp.MustCompile(`in [\d.]+(ms|s)\b`),
	"DIGEST":      regexp.MustCompile(`\b[0-9a-f]{64}\b`),
}

// same is an output without the parts that are others each time.
func same(output string) string {
	for name, pattern := range volatile {
		output = pattern.ReplaceAllString(output, name)
	}
	return strings.TrimSpace(output)
}

// shell runs a command as the document has the command, but for the addresses
// and the path of the checkout, and returns the standard output.
func (r *reader) shell(command string) (string, error) {
	changes := []string{"=../millrace", "=" + r.checkout}
	env := append(environ(), "no_proxy=localhost")
	if r.server != nil {
		changes = append(changes, r.server.changes...)
		env = append(env, "MILLRACE_KAFKA_BROKERS="+r.server.broker)
	}
	folder := r.folder
	if strings.HasPrefix(command, "go run ./app ") { // in the clone
		changes = append(changes, " ../", " "+filepath.Dir(r.folder)+"/")
		folder = r.checkout
	}
	command = strings.NewReplacer(changes...).Replace(command)
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Minute) // a first build
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir, cmd.Env = folder, env
	var failures strings.Builder
	cmd.Stderr = &failures
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", command, err, out, &failures)
	}
	return string(out), nil
}

// must runs a command that must succeed, and returns the output.
func (r *reader) must(command string) string {
	r.t.Helper()
	out, err := r.shell(command)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// environ is the environment of this process without settings of a service.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "MILLRACE_") || slices.Contains([]string{"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}, name) // a make may run the test
	})
}
