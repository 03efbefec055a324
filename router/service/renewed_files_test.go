package service

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/testing/certs"
)

// A running service takes the new authorities and the new password of Kafka from
// their files, and the embedded broker takes the new password.
func TestKafkaFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := certs.New(t).Files(dir, "localhost")
	password := filepath.Join(dir, "password")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(password, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hunter2")
	s := newStack(t)
	if s.onKafka() {
		t.Skip("is about the embedded broker")
	}
	all := s.service(settings{
		"roles":    "broker,command-service,query-service,read-api",
		"tls.cert": files.Cert, "tls.key": files.Key, "read_api.public_url": "https://localhost:3002",
		"kafka.tls.enabled": "true", "kafka.tls.ca": files.CA,
		"kafka.sasl.mechanism": "SCRAM-SHA-256", "kafka.sasl.user": "millrace", "kafka.sasl.password_file": password,
	})
	all.launch()
	eventually(t, "health", func() error { return ready(t, all.set) })
	tool := all.set.with(settings{"kafka.brokers": all.at.Broker})

	write("hunter3")
	certs.New(t).Files(dir, "localhost") // in the same files
	eventually(t, "the new authorities and the new password", func() error {
		said, err := runCommand(t, tool, "dead-letters", "list")
		if err != nil {
			return errors.New(said)
		}
		return nil
	})
	// /readyz opens connections for each question.
	eventually(t, "health", func() error { return ready(t, all.set) })
	said, err := runCommand(t, tool.with(settings{"kafka.sasl.password_file": "", "kafka.sasl.password": "hunter2"}), "dead-letters", "list")
	if err == nil || !strings.Contains(said, "Kafka refuses the user millrace") || strings.Contains(said, "run out") || strings.Count(said, "\n") != 2 {
		t.Errorf("the old password: %v, %s", err, said)
	}
	if !strings.Contains(all.stderr.String(), "the broker takes the new one") {
		t.Error("nothing is logged of the new password")
	}
}
