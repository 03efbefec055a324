package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/millrace/millrace/router/eventlog"
)

// partitions is the default of kafka.partitions.
const partitions = 12

// RouterModule is the path of the module with the router.
const RouterModule = "github.com/millrace/millrace"

// Service is a new service with one aggregate.
type Service struct {
	// Dir is the folder of the service: empty, or not there yet.
	Dir string
	// Module is the path of the service's module, such as example.com/shop.
	Module    string
	Aggregate Names
	// Release is the version of Millrace on the module proxy, such as v0.1.0.
	// Checkout is a folder with Millrace instead, for a replace in go.mod.
	Release, Checkout string
}

// newService is the data of the templates.
type newService struct {
	Names
	Module, Program, Title string
	Millrace, Replace      string
	Other                  string // another aggregate, for the README
	Position               string // after the two events of the README
}

// Write writes the files of the service.
func (s Service) Write() (Written, error) {
	if err := CheckModule(s.Module); err != nil {
		return Written{}, err
	}
	if err := CheckDir(s.Dir); err != nil {
		return Written{}, err
	}
	data := newService{Names: s.Aggregate, Module: s.Module, Program: ProgramOf(s.Module), Millrace: s.Release, Other: "customer"}
	if s.Aggregate.Name == data.Other {
		data.Other = "order"
	}
	data.Position = eventlog.EncodePosition(eventlog.Position{eventlog.PartitionOf(s.Aggregate.Name+"/1", partitions): 2})
	data.Title = titleText(data.Program)
	if s.Checkout != "" {
		var err error
		if data.Replace, err = replacement(s.Dir, s.Checkout); err != nil {
			return Written{}, err
		}
		data.Millrace = "v0.0.0"
	}
	c := newChanges(s.Dir)
	err := errors.Join(
		c.renderAll(data, map[string]string{
			"main.go": "main.go", "domain.go": "domain.go", "domain_test.go": "domain_test.go", "go.mod": "go.mod", "Makefile": "Makefile",
			"Dockerfile": "Dockerfile", ".dockerignore": "dockerignore", "compose.yaml": "compose.yaml", ".gitignore": "gitignore", "README.md": "README.md",
			data.Package + "_test.go": "service_test.go",
		}),
		c.addAggregate(data.Names, data),
	)
	if err != nil {
		return Written{}, err
	}
	return c.write()
}

// CheckDir says why a folder can't be the folder of a new service. The folder of
// git is no obstacle.
func CheckDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != ".git" {
			return fmt.Errorf("the folder %s is not empty: there is %s; name a new folder, or an empty one", dir, entry.Name())
		}
	}
	return nil
}

var (
	moduleForm   = regexp.MustCompile(`^[A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)
	majorVersion = regexp.MustCompile(`^v[0-9]+$`)
	programForm  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*$`)
)

// CheckModule says why a text can't be the path of a service's module.
func CheckModule(module string) error {
	host, _, _ := strings.Cut(module, "/")
	switch {
	case !moduleForm.MatchString(module), strings.HasSuffix(module, "."), !programForm.MatchString(ProgramOf(module)):
		return fmt.Errorf("the module path %q must be words of letters, digits, dots, hyphens and underscores, joined by slashes, such as example.com/shop", module)
	case !strings.Contains(host, "."):
		return fmt.Errorf("the module path %q must begin with a domain, such as example.com/%s: Go keeps paths without a dot for its own library", module, ProgramOf(module))
	case module == RouterModule, strings.HasPrefix(module, RouterModule+"/router"):
		return fmt.Errorf("the module path %q is Millrace's own", module)
	}
	return nil
}

// ProgramOf is the name of a module's program, as go build forms the name.
func ProgramOf(module string) string {
	base := path.Base(module)
	if majorVersion.MatchString(base) && strings.Contains(module, "/") {
		return path.Base(path.Dir(module))
	}
	return base
}

// titleText is a program's name in texts: "Coffee Shop" for coffee-shop.
func titleText(program string) string {
	words := strings.FieldsFunc(program, func(c rune) bool { return !isPlain(c) })
	for i, word := range words {
		words[i] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, " ")
}

// replacement is the path of a checkout in go.mod: relative to the folder of the
// service if the given path is relative.
func replacement(dir, checkout string) (string, error) {
	module, err := modulePath(checkout)
	if err != nil {
		return "", fmt.Errorf("there is no checkout of Millrace in %s: %w", checkout, err)
	}
	if module != RouterModule {
		return "", fmt.Errorf("there is no checkout of Millrace in %s, but of %s", checkout, module)
	}
	to, err := filepath.Abs(checkout)
	if err != nil || filepath.IsAbs(checkout) {
		return filepath.ToSlash(to), err
	}
	from, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	relative, err := filepath.Rel(from, to)
	if err != nil {
		return "", err
	}
	relative = filepath.ToSlash(relative)
	if !strings.HasPrefix(relative, "../") && relative != ".." {
		relative = "./" + relative // go.mod tells folders from modules by the dots
	}
	return relative, nil
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)"?`)

// modulePath is the path of the module in a folder.
func modulePath(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	found := moduleLine.FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("%s names no module", filepath.Join(dir, "go.mod"))
	}
	return string(found[1]), nil
}
