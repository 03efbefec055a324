package service

import (
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/testing/certs"
)

// The file and the commands in docs/security.md do as the document says, on free
// ports.
func TestSecurityDoc(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	dir := t.TempDir()
	files := certs.New(t).Files(dir, "localhost")
	password := filepath.Join(dir, "kafka-password")
	if err := os.WriteFile(password, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	var examples []string
	for _, f := range fencesOf(t, "../../docs/security.md") {
		if f.language != "yaml" {
			continue
		}
		name := filepath.Join(dir, strconv.Itoa(len(examples))+".yaml")
		examples = append(examples, name)
		text := strings.Replace(strings.Join(f.lines, "\n"), "kafka-password", password, 1)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(name, nil, nil, config.Service{}); err != nil {
			t.Errorf("an example is wrong: %v", err)
		}
	}
	file := examples[0]
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
	eventually(t, "health", func() error { return ready(t, set, "--config", file) })
	for _, s := range stepsOf(t, "../../docs/security.md") {
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

// All clients of Kafka use TLS and a password: the roles, and the command line.
// Others are refused, and nothing shows the password.
func TestSecureBroker(t *testing.T) {
	t.Parallel()
	files := certs.New(t).Files(t.TempDir(), "localhost")
	s := newStack(t)
	if s.onKafka() {
		t.Skip("is about the embedded broker")
	}
	testSecureKafka(s, "hunter2", settings{
		"roles":    "broker,command-service,query-service,read-api",
		"tls.cert": files.Cert, "tls.key": files.Key, "read_api.public_url": "https://localhost:3002",
		"kafka.tls.ca": files.CA,
	})
}

// The same on an Apache Kafka with such a listener.
func TestSecureKafka(t *testing.T) {
	t.Parallel()
	ca := os.Getenv("KAFKA_SECURE_CA")
	s := newStack(t)
	if ca == "" || !s.onKafka() {
		t.Skip("needs KAFKA_BROKERS, KAFKA_SECURE_BROKERS and KAFKA_SECURE_CA")
	}
	testSecureKafka(s, "millrace", settings{
		"roles":         "command-service,query-service,read-api",
		"kafka.brokers": os.Getenv("KAFKA_SECURE_BROKERS"), "kafka.tls.ca": ca,
	})
}

func testSecureKafka(s *stack, password string, set settings) {
	t := s.t
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := s.service(set.with(settings{
		"kafka.tls.enabled": "true", "kafka.sasl.mechanism": "SCRAM-SHA-512", "kafka.sasl.user": "millrace",
		"kafka.sasl.password_file": file, "log.level": "debug",
	}))
	all.launch()
	eventually(t, "health", func() error { return ready(t, all.set) })
	scheme := "http://"
	client := []string{"--silent", "--header", "Content-Type: application/json", "--header", "Prefer: wait=20", "--data", createAlice}
	if all.set["tls.cert"] != "" {
		scheme = "https://"
		client = append(client, "--cacert", all.set["kafka.tls.ca"])
	}
	said, err := exec.CommandContext(t.Context(), "curl", append(client, scheme+all.at.Commands+"/commands")...).Output()
	if err != nil || !strings.Contains(string(said), `"succeeded"`) {
		t.Errorf("POST says %s, %v", said, err)
	}
	operator := all.set
	if all.at.Broker != "" {
		operator = operator.with(settings{"kafka.brokers": all.at.Broker})
	}
	if said, err := runCommand(t, operator, "parked", "list"); err != nil {
		t.Errorf("parked list: %v\n%s", err, said)
	}
	for name, stranger := range map[string]settings{
		"another password": {"kafka.sasl.password_file": "", "kafka.sasl.password": "hunter3"},
		"no name":          {"kafka.sasl.mechanism": "", "kafka.sasl.user": "", "kafka.sasl.password_file": ""},
		"no TLS":           {"kafka.tls.enabled": "", "kafka.tls.ca": ""},
	} {
		if said, err := runCommand(t, operator.with(stranger), "dead-letters", "list"); err == nil {
			t.Errorf("with %s it is let in: %s", name, said)
		} else if name == "another password" && !strings.Contains(said, "Kafka refuses the user millrace") {
			t.Errorf("with %s it is told otherwise: %s", name, said)
		}
	}
	if logged := all.stdout.String() + all.stderr.String(); strings.Contains(logged, "hunter2") {
		t.Errorf("the password is told:\n%s", logged)
	}
}

// runCommand runs a command line, and returns the output.
func runCommand(t *testing.T, set settings, args ...string) (string, error) {
	cmd := exec.CommandContext(t.Context(), "app", args...)
	cmd.Dir, cmd.Env = t.TempDir(), set.environ()
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// ready asks app health.
func ready(t *testing.T, set settings, args ...string) error {
	_, err := runCommand(t, set, append([]string{"health"}, args...)...)
	return err
}

// The admin address tells everybody whether the process is ready. Everything
// else needs the scope operate.
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
