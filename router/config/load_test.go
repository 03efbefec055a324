package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write makes a file of the test's own.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems are the lines of err, without the folder of the file.
func problems(t *testing.T, path string, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Errors](err); !ok {
		t.Fatalf("%T is not *Errors: %v", err, err)
	}
	text := err.Error()
	if path != "" {
		text = strings.ReplaceAll(text, filepath.Dir(path)+string(filepath.Separator), "")
	}
	return strings.Split(text, "\n")
}

func TestNothingGivenIsTheDefaults(t *testing.T) {
	for _, content := range []string{"", "# nothing\n", "---\n", "\ufeff", "kafka:\nlog: {}\nstore:\n  sqlite:\n"} {
		got, err := Load(write(t, "c.yaml", content), nil, nil, Service{})
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		if diff := cmp.Diff(Default(), got); diff != "" {
			t.Errorf("%q (-default +loaded):\n%s", content, diff)
		}
	}
	if _, err := Load("", nil, nil, Service{}); err != nil {
		t.Errorf("no file: %v", err)
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "c.yaml", "\ufeffkafka:\r\n  partitions: 2\r\n  brokers: [file:1, file:2]\r\n  replication: 2\r\n")
	environ := []string{
		"MILLRACE_KAFKA_PARTITIONS=7", "MILLRACE_KAFKA_PARTITIONS=3", "MILLRACE_KAFKA_BROKERS=env:1, env:2",
		"MILLRACE_KAFKA_REPLICATION=", "MILLRACE_NO_SUCH_KEY=", "MILLRACE_CONFIG=elsewhere.yaml", "PATH=/bin",
	}
	flags := map[string]string{"kafka.partitions": "4", "shutdown_timeout": "1m30s", "insecure": "true", "roles": "broker"}

	want := Default()
	want.Kafka.Partitions = 4                       // flag over environment over file
	want.Kafka.Brokers = []string{"env:1", "env:2"} // environment over file
	want.Kafka.Replication = 2                      // file over default; an empty variable is unset
	want.ShutdownTimeout = 90 * time.Second
	want.Insecure = true
	want.Roles = []Role{Broker}

	got, err := Load(file, environ, flags, Service{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	delete(flags, "kafka.partitions")
	if got, err = Load(file, environ, flags, Service{}); err != nil || got.Kafka.Partitions != 3 {
		t.Errorf("without the flag: %d partitions, %v; want the last variable's 3", got.Kafka.Partitions, err)
	}
}

func TestYAMLInOtherForms(t *testing.T) {
	want := Default()
	want.DataDir = "/srv/data"
	want.QueryService.BatchLinger = 0
	for _, content := range []string{
		"%YAML 1.2\n---\ndata_dir: /srv/data # a comment\nquery_service:\n  batch_linger: 0\n...\n",
		"{data_dir: '/srv/data', query_service: {batch_linger: 0s}}",
		"\"data_dir\": |-\n  /srv/data\nquery_service: {\"batch_linger\": \"0\"}\n",
	} {
		got, err := Load(write(t, "c.yaml", content), nil, nil, Service{})
		if err != nil {
			t.Errorf("%s%v", content, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s(-want +got):\n%s", content, diff)
		}
	}
}

// Every key can be given in each of the three ways, and reads back the same.
func TestEveryKeyFromEverySource(t *testing.T) {
	names := Service{ReadModels: []string{"stats"}, Plurals: map[string]string{"list": "lists"}}
	values := map[string]string{
		"roles": "query-service,read-api", "data_dir": "d", "insecure": "true", "log.format": "json",
		"log.level": "debug", "broker.address": "localhost:1", "broker.sync": "true", "kafka.brokers": "a:1,b:2",
		"kafka.partitions": "3", "kafka.replication": "3", "kafka.topic_prefix": "team.", "command_service.address": "localhost:2",
		"command_service.max_in_flight": "5", "command_service.publish_timeout": "1s", "query_service.read_models": "stats", "query_service.batch_size": "10",
		"command_service.max_undecided": "7", "command_service.accept_shorter_log": "true", "kafka.commands_keep": "48h0m0s",
		"query_service.batch_linger": "0s", "read_api.address": "localhost:4", "read_api.public_url": "https://x/api",
		"read_api.read_after_timeout": "2s", "admin.address": "localhost:5", "store.driver": "memory",
		"admin.public_url": "https://x/ops", "admin.console": "false", "admin.peers": "read=https://r,query=https://q:8/admin", "command_service.public_url": "https://c",
		"kafka.tls.enabled": "true", "kafka.tls.ca": "ca.pem", "kafka.tls.cert": "c.pem", "kafka.tls.key": "k.pem",
		"kafka.tls.server_name": "kafka", "kafka.sasl.mechanism": "SCRAM-SHA-512", "kafka.sasl.user": "u", "kafka.sasl.password": "p",
		"http.header_timeout": "1s", "http.read_timeout": "2s", "http.write_timeout": "3s", "http.idle_timeout": "4s",
		"http.max_header_bytes": "5000", "http.max_connections": "6", "auth.tokens": "a:queries:" + strings.Repeat("0a", 32),
		"auth.jwt.issuer": "https://x/", "auth.jwt.audience": "y", "auth.jwt.keys": "keys.pem", "auth.jwt.algorithms": "ES256,EdDSA",
		"auth.jwt.leeway": "5s", "limits.requests_per_second": "7", "limits.burst": "8", "limits.in_flight": "9",
		"cors.allowed_origins": "https://x,https://y", "tls.cert": "c.pem", "tls.key": "k.pem", "tls.client_ca": "ca.pem",
		"telemetry.traces.endpoint": "http://localhost:4318", "telemetry.traces.sample_ratio": "0.25",
		"store.sqlite.path": "x.db", "store.postgres.url": "postgres://h/d", "handlers.outcomes_per_stream": "9", "handlers.memory": "67108864", "reactions.enabled": "false", "publish": "list,list=all.Lists_2", "shutdown_timeout": "3s", "drain_delay": "4s",
	}
	for _, key := range Keys() {
		if secret, ok := strings.CutSuffix(key.Name, "_file"); ok && isSecret(secret) {
			continue // needs a file, and the secret away: TestSecretFile
		}
		value, ok := values[key.Name]
		if !ok || value == key.Default {
			t.Errorf("%s: no value to try", key.Name)
			continue
		}
		var environ []string
		flags := map[string]string{}
		for name, v := range values { // all the others, for the rules between keys
			if name != key.Name {
				flags[name] = v
			}
		}
		environ = append(environ, key.Environment+"="+value)
		fromEnvironment, err := Load("", environ, flags, names)
		if err != nil {
			t.Errorf("%s in the environment: %v", key.Name, err)
		}
		flags[key.Name] = value
		fromFlag, err := Load("", nil, flags, names)
		if err != nil {
			t.Errorf("%s by flag: %v", key.Name, err)
		}
		delete(flags, key.Name)
		fromFile, err := Load(write(t, "c.yaml", nested(key, value)), nil, flags, names)
		if err != nil {
			t.Errorf("%s in a file: %v", key.Name, err)
		}
		if diff := cmp.Diff(fromEnvironment, fromFlag) + cmp.Diff(fromFlag, fromFile); diff != "" {
			t.Errorf("%s depends on where it is given:\n%s", key.Name, diff)
		}
		f, _ := fieldNamed(key.Name)
		want := value
		if key.Secret {
			want = masked
		}
		if got := text(f.of(&fromFile)); got != want {
			t.Errorf("%s = %s, want %s", key.Name, got, want)
		}
	}
}

func isSecret(name string) bool {
	f, ok := fieldNamed(name)
	return ok && f.Secret
}

// nested writes one key as YAML.
func nested(key Key, value string) string {
	if key.Type == "list" {
		value = "[" + value + "]"
	}
	var b strings.Builder
	parts := strings.Split(key.Name, ".")
	for i, part := range parts {
		b.WriteString(strings.Repeat("  ", i) + part + ":")
		if i < len(parts)-1 {
			b.WriteString("\n")
		}
	}
	return b.String() + " " + value + "\n"
}

func TestSecretFile(t *testing.T) {
	const url = "postgres://user:hunter2@db:5432/users"
	secret := write(t, "url", url+"\r\n")
	got, err := Load("", []string{"MILLRACE_STORE_POSTGRES_URL_FILE=" + secret}, map[string]string{"store.driver": "postgres"}, Service{})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Store.Postgres.URL) != url {
		t.Errorf("URL = %q, want %q", string(got.Store.Postgres.URL), url)
	}
	// An empty flag takes back what the file says.
	file := write(t, "c.yaml", "store: {postgres: {url_file: /no/such/file}}\n")
	if _, err := Load(file, nil, map[string]string{"store.postgres.url_file": "", "store.postgres.url": url}, Service{}); err != nil {
		t.Errorf("url in the place of url_file: %v", err)
	}
}

// The items of a secret list stand one a line.
func TestSecretListFile(t *testing.T) {
	one, two := "a:queries:"+strings.Repeat("0a", 32), "b:commands:"+strings.Repeat("0b", 32)
	file := write(t, "tokens", one+"\r\n\n"+two+"\n")
	got, err := Load("", nil, map[string]string{"auth.tokens_file": file}, Service{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []Secret{Secret(one), Secret(two)}; !slices.Equal(got.Auth.Tokens, want) {
		t.Errorf("tokens = %q", text(reflect.ValueOf(got.Auth.Tokens)))
	}
	_, err = Load("", nil, map[string]string{"auth.tokens_file": write(t, "plain", one+"\nhunter2\n"), "auth.tokens": two}, Service{})
	if got := problems(t, "", err); len(got) != 1 || !strings.HasSuffix(got[0], "not both") {
		t.Errorf("both: %q", got)
	}
	_, err = Load("", nil, map[string]string{"auth.tokens_file": write(t, "plain", one+"\nhunter2\n")}, Service{})
	if got := problems(t, "", err); len(got) != 1 || !strings.HasPrefix(got[0], "auth.tokens: *** (") || strings.Contains(got[0], "hunter2") {
		t.Errorf("a token in plain: %q", got)
	}
}

func TestSecretFileProblems(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{"good": "postgres://h/d\n", "empty": "\n", "bad": "postgres://u:hunter2@h:x/d"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, file, url string
		want            string
	}{
		{"missing", "missing", "", `store.postgres.url_file: "missing" (flag): cannot be read: no such file or directory`},
		{"empty", "empty", "", `store.postgres.url_file: "empty" (flag): is an empty file`},
		{"not a URL", "bad", "", `store.postgres.url: *** (bad): must be a PostgreSQL URL such as postgres://user:password@host:5432/database`},
		{"both", "good", "postgres://u:hunter2@h/d",
			`store.postgres.url: *** (MILLRACE_STORE_POSTGRES_URL): give this or store.postgres.url_file (flag), not both`},
	}
	t.Chdir(folder)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load("", []string{"MILLRACE_STORE_POSTGRES_URL=" + test.url}, map[string]string{"store.postgres.url_file": test.file, "store.driver": "postgres"}, Service{})

			if diff := cmp.Diff([]string{test.want}, problems(t, "", err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	for _, name := range []string{"three", "mistakes"} {
		t.Run(name, func(t *testing.T) {
			_, err := Load("testdata/"+name+".yaml", nil, nil, Service{})
			golden(t, "testdata/"+name+".golden", strings.Join(problems(t, "", err), "\n")+"\n")
		})
	}
}

func TestMistakesOfEnvironmentAndFlags(t *testing.T) {
	_, err := Load("", []string{"MILLRACE_KAFKA_PARTITION=4", "MILLRACE_PASSWORD=hunter2", "MILLRACE_BROKER_SYNC=yes", "MILLRACE_ROLES=broker,,broker"}, map[string]string{"kafka.replication": "010", "kafka.brokers": "", "passphrase": "hunter2", "log": "debug", "data_dir": ""}, Service{})

	const list = "must be a list of one or more, none twice, where each must be "
	want := []string{
		`broker.sync: "yes" (MILLRACE_BROKER_SYNC): must be true or false`,
		`MILLRACE_KAFKA_PARTITION (environment): unknown environment variable, did you mean "MILLRACE_KAFKA_PARTITIONS"?`,
		`MILLRACE_PASSWORD (environment): unknown environment variable`,
		`roles: "" (MILLRACE_ROLES): ` + list + `one of broker, command-service, query-service, read-api`,
		`roles: "broker" (MILLRACE_ROLES): ` + list + `one of broker, command-service, query-service, read-api`,
		`data_dir: "" (flag): must be a path`,
		`kafka.brokers: "" (flag): ` + list + `host:port, with a port from 1 to 65535`,
		`kafka.replication: "010" (flag): must be an integer from 1 to 32767`,
		`log (flag): unknown key`,
		`passphrase (flag): unknown key`,
	}
	if diff := cmp.Diff(want, problems(t, "", err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMistakesOfYAML(t *testing.T) {
	tests := []struct {
		name, content string
		want          []string
	}{
		{"syntax", "kafka:\n  partitions: 'twelve\n", []string{"c.yaml:2: is not YAML: could not find end character of single-quoted text"}},
		{"syntax that the library quotes", "store:\n  postgres:\n    url: |hunter2\n      x\n", []string{"c.yaml:3: is not YAML: invalid header option"}},
		{"not UTF-8", "data_dir: \xff\n", []string{"c.yaml: must be UTF-8"}},
		{"several documents", "log:\n  level: info\n---\nlog:\n  level: warn\n", []string{"c.yaml: must hold one YAML document, not several"}},
		{"an empty document, then another", "---\n---\nlog: 1\n", []string{"c.yaml: must hold one YAML document, not several"}},
		{"documents by end marker", "insecure: true\n...\ndata_dir: x\n", []string{"c.yaml: must hold one YAML document, not several"}},
		{"a list", "- roles\n", []string{"c.yaml:1: must be a mapping of keys to values"}},
		{"a scalar", "hello\n", []string{"c.yaml:1: must be a mapping of keys to values"}},
		{"duplicates", "log:\n  level: info\n  level: warn\ndata_dir: x\nlog:\n  format: json\n", []string{
			"log.level (c.yaml:3): given twice, first in line 2",
			"log (c.yaml:5): given twice, first in line 1",
		}},
		{"a scalar where a group is", "store: postgres://u:hunter2@h/d\nkafka: 5\n", []string{
			"store (c.yaml:1): must be a mapping of keys to values",
			"kafka (c.yaml:2): must be a mapping of keys to values",
		}},
		{"a group where a scalar is", "data_dir:\n  x: y\nstore:\n  postgres:\n    url: [hunter2]\n", []string{
			"data_dir: a mapping (c.yaml:1): must be a path",
			"store.postgres.url: a list (c.yaml:5): must be a PostgreSQL URL such as postgres://user:password@host:5432/database",
		}},
		{"null", "data_dir:\nkafka:\n  partitions: ~\n", []string{
			"data_dir: null (c.yaml:1): must be a path",
			"kafka.partitions: null (c.yaml:3): must be an integer from 1 to 10000",
		}},
		{"anchors, aliases and tags", "data_dir: &d x\nlog:\n  level: !!str info\n  format: *d\n", []string{
			"data_dir: an anchor, alias or tag (c.yaml:1): must be a path",
			"log.level: an anchor, alias or tag (c.yaml:3): must be one of debug, info, warn, error",
			"log.format: an anchor, alias or tag (c.yaml:4): must be one of auto, text, json",
		}},
		{"dots", "log.level: info\n", []string{"log.level (c.yaml:1): unknown key: write it nested, one mapping for each dot"}},
		{"an unknown group, once", "kafak:\n  partitions: 1\n  replication: 1\n", []string{`kafak (c.yaml:1): unknown key, did you mean "kafka"?`}},
		{"the group left out", "url_file: x\naddress: localhost:1\n", []string{
			`url_file (c.yaml:1): unknown key, did you mean "store.postgres.url_file"?`,
			`address (c.yaml:2): unknown key`, // there are four
		}},
		{"a key of two lines", "\"a\\nb\": 1\n", []string{`"a\nb" (c.yaml:1): unknown key`}},
		{"a long value", "log:\n  level: " + strings.Repeat("é", 1000) + "\n", []string{
			`log.level: "` + strings.Repeat("é", 50) + `…" (c.yaml:2): must be one of debug, info, warn, error`,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "c.yaml", test.content)
			_, err := Load(path, nil, nil, Service{})
			if diff := cmp.Diff(test.want, problems(t, path, err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileThatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	_, err := Load(path, nil, map[string]string{"kafka.partitions": "0"}, Service{})
	want := []string{
		"c.yaml: cannot be read: no such file or directory",
		`kafka.partitions: "0" (flag): must be an integer from 1 to 10000`,
	}
	if diff := cmp.Diff(want, problems(t, path, err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPaths(t *testing.T) {
	c := Config{DataDir: "d", Roles: []Role{ReadAPI}}
	got := []string{c.BrokerDir(), c.StateDir(), c.SQLitePath()}
	c.Store.SQLite.Path = "x.db"
	got = append(got, c.SQLitePath())
	want := []string{filepath.Join("d", "broker"), filepath.Join("d", "state"), filepath.Join("d", "read.db"), "x.db"}
	if !slices.Equal(got, want) {
		t.Errorf("paths = %q, want %q", got, want)
	}
	if !c.Has(ReadAPI) || c.Has(QueryService) {
		t.Errorf("Has is wrong about %v", c.Roles)
	}
}
