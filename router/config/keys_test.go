package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKeys(t *testing.T) {
	seen := map[string]bool{}
	secrets := 0
	for _, key := range Keys() {
		if seen[key.Environment] || key.Environment == configVariable {
			t.Errorf("%s is not the only one with %s", key.Name, key.Environment)
		}
		seen[key.Environment] = true
		if !strings.HasSuffix(key.Description, ".") {
			t.Errorf("%s: description %q is no sentence", key.Name, key.Description)
		}
		if key.Secret {
			secrets++
			if _, ok := fieldNamed(key.Name + "_file"); !ok {
				t.Errorf("%s can't be given in a file", key.Name)
			}
		}
		if key.Default == "" {
			continue
		}
		if _, err := Load("", []string{key.Environment + "=" + key.Default}, nil, Service{}); err != nil {
			t.Errorf("the default is not allowed: %v", err)
		}
	}
	if secrets != 3 {
		t.Errorf("%d secrets, want 3", secrets)
	}
	want := Key{
		Name:        "kafka.partitions",
		Type:        "integer",
		Default:     "12",
		Description: "Partitions of each topic. Choose once: streams are spread over the partitions by hash.",
		Environment: "MILLRACE_KAFKA_PARTITIONS",
	}
	f, _ := fieldNamed(want.Name)
	if diff := cmp.Diff(want, f.Key); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMaskedIsAConfigFile(t *testing.T) {
	c, err := Load("", nil, map[string]string{
		"kafka.brokers": "a:1,b:2", "kafka.topic_prefix": "true", "data_dir": "a: b #c", "log.level": "debug", "query_service.batch_linger": "1ms",
	}, Service{})

	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(write(t, "c.yaml", c.Masked()), nil, nil, Service{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Errorf("(-config +its Masked loaded):\n%s", diff)
	}
}

func TestNothingShowsTheSecret(t *testing.T) {
	c, err := Load("", []string{"MILLRACE_STORE_POSTGRES_URL=postgres://user:hunter2@db/users"}, nil, Service{})
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("", "url", c.Store.Postgres.URL, "config", c)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("", "url", c.Store.Postgres.URL, "config", c)
	for name, out := range map[string]string{
		"Masked": c.Masked(),
		"fmt":    fmt.Sprintf("%v %+v %#v %s %q %x", c, c, c, c.Store.Postgres.URL, c.Store.Postgres.URL, c.Store.Postgres.URL),
		"JSON":   string(asJSON),
		"slog":   logged.String(),
	} {
		if strings.Contains(out, "hunter2") || strings.Contains(out, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("%s shows the password: %s", name, out)
		}
		if !strings.Contains(out, masked) {
			t.Errorf("%s doesn't show that there is one: %s", name, out)
		}
	}
	if !strings.Contains(c.Masked(), `url: "***"`) {
		t.Errorf("Masked:\n%s", c.Masked())
	}
	if strings.Contains(Default().Masked(), masked) {
		t.Error("Masked shows a secret where there is none")
	}
}

// pgx masks the passwords that pgx recognises. No word of pgx reaches a problem.
func TestNoErrorShowsTheSecret(t *testing.T) {
	for _, url := range []string{
		"postgres://user:hunter2@h:port/d", "postgres://user:hunter2@h:99999/d", "postgres://user:hun%zzhunter2@h/d",
		"hunter2", "host=h password=hunter2 port=x", "password = 'hunter2", "postgres://h/d?sslmode=hunter2", "postgres://[hunter2/d", "mysql://user:hunter2@h/d",
	} {
		_, err := Load("", nil, map[string]string{"store.postgres.url": url}, Service{})
		if err == nil {
			t.Errorf("%s is taken", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
