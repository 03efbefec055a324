package main

import (
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/testing/certs"
)

// What docs/security.md shows is what happens: its file, on ports of the
// test's own, and its commands.
func TestSecurityDoc(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	dir := t.TempDir()
	files := certs.New(t).Files(dir, "localhost")
	var example string
	for _, f := range fencesOf(t, "../docs/security.md") {
		if f.language == "yaml" {
			example += strings.Join(f.lines, "\n") + "\n"
		}
	}
	file := filepath.Join(dir, "secure.yaml")
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	set := settings{
		"data_dir": filepath.Join(dir, "data"), "broker.address": "localhost:0", "admin.address": "localhost:0",
		"command_service.address": "0.0.0.0:0", "read_api.address": "0.0.0.0:0", // others can reach them
		"tls.cert": files.Cert, "tls.key": files.Key,
	}
	p := launch(t, set, "--config", file)
	p.waitForBanner(t)
	set["admin.address"] = p.at.Admin

	r := newReader(t)
	r.addresses = map[string]string{
		"localhost:3001": p.at.Commands,
		"localhost:3002": p.at.Queries,
	}
	eventually(t, "health", func() error { return ready(t, set, file) })
	for _, s := range stepsOf(t, "../docs/security.md") {
		if strings.HasPrefix(s.command, "curl ") {
			s.command = strings.Replace(s.command, "ca.pem", files.CA, 1)
			r.follow(s)
		}
	}
	for _, secret := range []string{"correct-horse", "87cbebfe"} {
		if strings.Contains(p.stdout.String()+p.stderr.String(), secret) {
			t.Errorf("%q is in what the process printed", secret)
		}
	}
	if !strings.Contains(p.stdout.String(), `curl -H "Authorization: Bearer $TOKEN" https://`) {
		t.Error("the banner doesn't say that a token is needed")
	}
}

// ready asks app health.
func ready(t *testing.T, set settings, file string) error {
	cmd := exec.CommandContext(t.Context(), "app", "health", "--config", file)
	cmd.Env = set.environ()
	return cmd.Run()
}

// The admin address shows how the process is to everybody, and the rest to
// those who may operate it.
func TestAdminNeedsScope(t *testing.T) {
	t.Parallel()
	authority := certs.New(t)
	files := authority.Files(t.TempDir(), "localhost")
	const digests = "shop:commands+queries:87cbebfeebc05f7c54ac9336c4b4bbec831227a641951a4bde7edd56020f8590," +
		"admin:operate:29a5d6d3fd3dbbc9f17795c2b9b8cc9ddf794af8d43aa226fb8dd8c4eeda29c6"
	p := launch(t, settings{
		"data_dir": t.TempDir(), "roles": "broker", "broker.address": "localhost:0", "admin.address": "localhost:0",
		"tls.cert": files.Cert, "tls.key": files.Key, "tls.client_ca": files.CA, "auth.tokens": digests,
	})
	p.waitForBanner(t)
	client := func(certificates ...tls.Certificate) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), Certificates: certificates}}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: patience}
	}
	known, unknown := client(authority.Pair("desk")), client()
	tests := []struct {
		name        string
		client      *http.Client
		path, token string
		status      int
		problem     string
	}{
		{"alive, to anybody", unknown, "/livez", "", 200, ""},
		{"ready, to anybody", unknown, "/readyz", "", 200, ""},
		{"profiles, to nobody without a certificate", unknown, "/debug/pprof/cmdline", "staple-battery-horse-correct", 403, "certificate-required"},
		{"profiles, to nobody without a token", known, "/debug/pprof/cmdline", "", 401, "unauthorized"},
		{"profiles, to nobody without the scope", known, "/debug/pprof/cmdline", "correct-horse-battery-staple", 403, "insufficient-scope"},
		{"profiles, to operators", known, "/debug/pprof/cmdline", "staple-battery-horse-correct", 200, ""},
		{"nothing more by another path", known, "//readyz", "", 401, "unauthorized"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+p.at.Admin+test.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if test.token != "" {
				request.Header.Set("Authorization", "Bearer "+test.token)
			}
			got, err := do(test.client, request)
			if err != nil {
				t.Fatal(err)
			}
			if test.problem != "" {
				wantProblem(t, got, test.status, test.problem)
			} else if got.status != test.status {
				t.Errorf("got %s, want %d", got, test.status)
			}
		})
	}
}
