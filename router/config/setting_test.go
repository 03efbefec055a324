package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettingsHaveSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, tokens := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "tokens")
	if err := os.WriteFile(file, []byte("data_dir: here\nkafka:\n  partitions: 3\nauth:\n  tokens_file: "+tokens+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := "ops:operate:" + strings.Repeat("0a", 32)
	if err := os.WriteFile(tokens, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	c, sources, err := LoadWithSources(file, []string{"MILLRACE_DATA_DIR=there"}, map[string]string{"log.level": "debug"}, Service{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Setting{
		"data_dir":            {Value: "there", Source: "MILLRACE_DATA_DIR"},
		"kafka.partitions":    {Value: "3", Source: file + ":3"},
		"log.level":           {Value: "debug", Source: "flag"},
		"auth.tokens":         {Value: "***", Source: tokens},
		"kafka.sasl.password": {Value: "", Source: "default"},
		"admin.console":       {Value: "true", Source: "default"},
	}
	all := c.Settings(sources)
	if len(all) != len(Keys()) {
		t.Errorf("%d settings of %d keys", len(all), len(Keys()))
	}
	for _, got := range all {
		if strings.Contains(got.Value, secret) {
			t.Errorf("%s shows the secret", got.Name)
		}
		if w, ok := want[got.Name]; ok && (got.Value != w.Value || got.Source != w.Source) {
			t.Errorf("%s is %q from %q, want %q from %q", got.Name, got.Value, got.Source, w.Value, w.Source)
		}
	}
}
