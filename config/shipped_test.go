package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/config"
)

const allHeader = `# All keys with the defaults. go run ./app needs no file: put the keys that you
# change in a file of your own, and start with --config FILE.
#
# Environment variables set keys too: MILLRACE_KAFKA_PARTITIONS is the variable
# of kafka.partitions. Flags win over the environment, the environment
# wins over the file. Durations are such as 5s, 100ms or 1m30s. Relative paths
# start in the working directory.
#
# Written by: go test ./config -update

`

// renderAll is the defaults as YAML. The help of each key and group stands above
// as a comment.
func renderAll(t *testing.T) string {
	comments := yaml.CommentMap{}
	var comment func(group reflect.Type, path string)
	comment = func(group reflect.Type, path string) {
		for i := range group.NumField() {
			sf := group.Field(i)
			at := path + "." + sf.Tag.Get("yaml")
			if help := sf.Tag.Get("help"); help != "" {
				comments[at] = []*yaml.Comment{yaml.HeadComment(" " + help)}
			}
			if sf.Type.Kind() == reflect.Struct {
				comment(sf.Type, at)
			}
		}
	}
	comment(reflect.TypeFor[config.Config](), "$")
	out, err := yaml.MarshalWithOptions(config.Default(), yaml.IndentSequence(true), yaml.WithComment(comments))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	last := "#"
	for line := range strings.Lines(string(out)) {
		group := strings.HasPrefix(last, " ") || strings.HasSuffix(line, ":\n") && !strings.HasPrefix(last, "#")
		if group && !strings.HasPrefix(line, " ") {
			b.WriteString("\n") // around groups
		}
		b.WriteString(line)
		last = line
	}
	return allHeader + b.String()
}

func TestAllYAMLIsTheDefaults(t *testing.T) {
	want := renderAll(t)
	golden(t, "all.yaml", want)

	got, err := config.Load("all.yaml", nil, nil, config.Service{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), got); diff != "" {
		t.Errorf("all.yaml is not the defaults (-default +loaded):\n%s", diff)
	}
}

// service has the names of the shipped service.
var service = config.Service{Plurals: map[string]string{"user": "users"}}

func TestShippedFilesAreValid(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "postgres_url")
	if err := os.WriteFile(secret, []byte("postgres://millrace:pw@postgres:5432/millrace\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file   string
		roles  []config.Role
		admin  string
		driver string // "" for roles without rows
	}{
		{"all.yaml", []config.Role{config.Broker, config.CommandService, config.QueryService, config.ReadAPI}, "localhost:3003", config.SQLite},
		{"broker.yaml", []config.Role{config.Broker}, "localhost:3006", ""},
		{"command-service.yaml", []config.Role{config.CommandService}, "localhost:3004", ""},
		{"query-service.yaml", []config.Role{config.QueryService}, "localhost:3003", config.SQLite},
		{"read-api.yaml", []config.Role{config.ReadAPI}, "localhost:3005", config.SQLite},
		{"compose/command-service.yaml", []config.Role{config.CommandService}, "0.0.0.0:3003", ""},
		{"compose/query-service.yaml", []config.Role{config.QueryService}, "0.0.0.0:3003", config.Postgres},
		{"compose/read-api.yaml", []config.Role{config.ReadAPI}, "0.0.0.0:3003", config.Postgres},
	}
	tested := map[string]bool{}
	for _, test := range tests {
		tested[test.file] = true
		t.Run(test.file, func(t *testing.T) {
			flags := map[string]string{}
			if test.driver == config.Postgres {
				flags["store.postgres.url_file"] = secret
			}
			c, err := config.Load(test.file, nil, flags, service)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.roles, c.Roles); diff != "" {
				t.Errorf("roles (-want +got):\n%s", diff)
			}
			if c.Admin.Address != test.admin {
				t.Errorf("admin.address = %s, want %s", c.Admin.Address, test.admin)
			}
			if test.driver != "" && c.Store.Driver != test.driver {
				t.Errorf("store.driver = %s, want %s", c.Store.Driver, test.driver)
			}
			if path := c.SQLitePath(); test.driver == config.SQLite && path != filepath.Join("data", "read.db") {
				t.Errorf("SQLitePath() = %s: not shared", path)
			}
		})
	}
	shipped, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	inCompose, err := filepath.Glob("compose/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(shipped, inCompose...) {
		if !tested[filepath.ToSlash(file)] {
			t.Errorf("%s is not tested", file)
		}
	}
}
