// Package servicetest starts a service as a process, for the tests of the
// service: the test binary runs once more, as the program of the service. Such a
// test sees what the clients and the operators of the service see.
//
//	func TestMain(m *testing.M) { servicetest.Main(m, domain) }
//
//	func TestService(t *testing.T) {
//		s := servicetest.Start(t, t.TempDir())
//		sent := s.Post(`{"type":"createList","payload":{"id":"groceries"}}`).Want(202, "accepted")
//		s.ReadAfter(sent.Position(), "/lists/groceries").Want(200, `"id":"groceries"`)
//		s.Run("verify")
//		s.Stop()
//	}
package servicetest

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/service"
)

// asService is the environment variable of a test binary that runs as the
// service.
const asService = "SERVICETEST_RUN_SERVICE"

// hasMain says whether the tests run under [Main].
var hasMain bool

// Main runs the tests of a package, or, in the process that [Start] or [Run] has
// started, the service. Call Main in TestMain. Main does not return.
func Main(m *testing.M, d service.Domain) {
	if os.Getenv(asService) != "" {
		os.Exit(service.Main(d))
	}
	hasMain = true
	os.Exit(m.Run())
}

// Command is a command line of the service, not started yet. The process gets no
// MILLRACE_ variables of this process, keeps its data in the folder dir, and is
// killed when the test ends.
func Command(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	if !hasMain {
		t.Fatal("TestMain of this package must call servicetest.Main")
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, append(args, "--set", "data_dir="+dir)...)
	cmd.Args[0] = strings.TrimSuffix(filepath.Base(binary), ".test") // the name in help texts and errors
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MILLRACE_") })
	cmd.Env = append(cmd.Env, asService+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// Run runs a command line such as "docs openapi" to its end, and returns the
// standard output. Another exit code than 0 ends the test. A running service has
// [Service.Run].
func Run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := Command(t, dir, args...)
	var failures strings.Builder
	cmd.Stderr = &failures
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmp.Or(strings.Join(args, " "), "the service"), err, out, &failures)
	}
	return string(out)
}
