package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/service/servicetest"
)

// troubled is a service with its data folder.
type troubled struct {
	*servicetest.Service
	t   *testing.T
	dir string
}

func startTroubled(t *testing.T, settings ...string) *troubled {
	t.Helper()
	dir := t.TempDir()
	return &troubled{servicetest.Start(t, dir, settings...), t, dir}
}

// begin brings a trouble about, and end mends the trouble.
func (s *troubled) begin(name string) {
	if err := os.WriteFile(filepath.Join(s.dir, name), nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *troubled) end(name string) {
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

// send sends a command, and waits for the outcome.
func (s *troubled) send(status int, command, id, name string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"type": command, "payload": map[string]string{"id": id, "name": name}})
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, s.Commands+"/commands", strings.NewReader(string(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if status != http.StatusAccepted {
		r.Header.Set("Prefer", "wait=20")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != status {
		s.t.Fatalf("%s %s: %s", command, id, answer.Status)
	}
}

// write writes a message into a topic, beside the service.
func (s *troubled) write(topic, key, value string, partition int32, headers ...string) {
	s.t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer([]string{s.Kafka}, config)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = producer.Close() }()
	m := &sarama.ProducerMessage{Topic: topic, Partition: partition, Key: sarama.StringEncoder(key), Value: sarama.StringEncoder(value)}
	for i := 0; i < len(headers); i += 2 {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	if _, _, err := producer.SendMessage(m); err != nil {
		s.t.Fatal(err)
	}
}

// refreshUntil refreshes the page until the page shows a text.
func (w *tab) refreshUntil(text string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !value[bool](w, "document.body.innerText.includes("+quoted(text)+")"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.fatal("refresh until the page shows "+text, errors.New("the page doesn't"))
		}
		w.click("button", "Refresh")
	}
}

// harmless wants a page in which no text has run, and shows the text as text.
func (w *tab) harmless() {
	w.t.Helper()
	w.wait("the page shows the text as text", "document.body.innerText.includes('<img')")
	if hacked := value[bool](w, "'hacked' in document.documentElement.dataset || document.querySelector('img') !== null"); hacked {
		w.t.Error("a text of a user has run")
	}
}

// An operator sees why a user is parked, requeues in vain, mends the rule, and
// requeues; and drops a command.
func TestTrouble(t *testing.T) {
	t.Parallel()
	s := startTroubled(t)
	s.begin(poisoned)
	s.send(200, "createUser", hostile, hostile)
	s.send(200, "createUser", "2", "Bob")
	s.send(500, "breakUser", hostile, hostile)
	s.send(202, "renameUser", hostile, "Later "+hostile)
	s.send(500, "breakUser", "2", "Bob")
	s.write("commands", hostile, hostile, 3, "ce_type", hostile, hostile, hostile)

	w := open(t, s.Service, "#/trouble", wide)
	w.shows("no rule for")
	w.refreshUntil("commands 3/")
	w.harmless()
	w.shot("trouble-wide")
	w.accessible()
	n := open(t, s.Service, "#/trouble", narrow)
	n.shows("no rule for")
	n.dark()
	n.shot("trouble-narrow-dark")
	n.accessible()

	w.expect("/api/parked/user/") // 404, once nothing waits
	w.click("a", "user/<img")
	w.shows("Requeue 2 commands")
	w.shows("trouble_domain_test.go")
	w.harmless()
	w.shot("parked-wide")
	w.accessible()
	n.click("a", "user/<img")
	n.shows("Requeue 2 commands")
	n.shot("parked-narrow-dark")
	n.accessible()
	w.click("button", "Requeue")
	w.shows("breakUser is parked again")
	s.end(poisoned)
	w.shows("Requeue 2 commands")
	w.click("button", "Requeue")
	w.shows("breakUser succeeded")
	w.shows("waits.")
	s.begin(poisoned)
	w.visit("#/trouble/parked/user/2")
	w.click("button", "Drop the first")
	w.shows("ends as refused, for good")
	w.shot("drop-wide")
	w.click("dialog button", "Drop the command")
	w.shows("No command of user/2 waits")

	w.visit("#/trouble")
	w.shows("No command is parked")
	w.click(`a[href^="#/trouble/dead-letters/"]`, "/")
	w.shows("Headers")
	w.harmless()
	w.shot("dead-letter-wide")
	w.accessible()
	w.click("button", "Drop")
	w.click("dialog button", "Drop")
	w.shows("There are no dead letters")
}

// A stream that is parked in a read model is tried again.
func TestParkedInReadModel(t *testing.T) {
	t.Parallel()
	s := startTroubled(t)
	s.begin(stale)
	s.send(200, "createUser", hostile, "Alice")
	s.send(200, "renameUser", hostile, hostile)
	w := open(t, s.Service, "#/trouble", wide)
	w.refreshUntil("no room for")
	w.harmless()
	w.shot("parked-in-model-wide")
	w.accessible()
	w.click("td button:not(:disabled)", "Retry")
	w.shows("1 of 1 streams are parked again")
	s.end(stale)
	w.click("td button:not(:disabled)", "Retry")
	w.shows("1 stream of names goes on")
	w.shows("No stream is parked in a read model")
}

// A stream is looked into: records with what counts, chain, states, differences.
func TestStreams(t *testing.T) {
	t.Parallel()
	s := startTroubled(t)
	s.send(200, "createUser", hostile, hostile)
	s.send(409, "createUser", hostile, hostile)
	for i := range 60 {
		s.send(202, "renameUser", hostile, fmt.Sprint(i, " ", hostile))
	}
	s.send(200, "renameUser", hostile, "Last")
	at := "#/streams/user/" + url.PathEscape(hostile)
	w := open(t, s.Service, at, wide)
	w.shows("commandRefused")
	w.harmless()
	partition := value[string](w, "/in partition (\\d+)/.exec(document.body.innerText)[1]")
	var p int32
	if _, err := fmt.Sscan(partition, &p); err != nil {
		t.Fatal(err)
	}
	s.write("events", "user/"+hostile, hostile, p, "ce_type", hostile, "ce_subject", "user/"+hostile, "ce_seq", "9",
		"ce_version", "9", "ce_prev", strings.Repeat("0", 64), "ce_specversion", "1.0")
	w.visit("#/streams")
	w.fill("Id", hostile)
	w.click("button", "Open")
	w.shows("records that don’t count")
	w.click(".opener", "userCreated")
	w.shows("State after the record")
	w.shot("streams-wide")
	w.accessible()
	w.fill("Version", "1")
	w.wait("the state of version 1", "document.querySelector('[aria-label=\"The state at version 1\"]')?.innerText.includes('<img')")
	w.fill("Compare with version", "62")
	w.shows("Version 62")
	w.shows(`"Last"`)
	w.shot("compare-wide")
	w.accessible()
	w.click("button", "Next page")
	w.shows("sequence number 9, and the next is 64")
	w.harmless()
	w.fill("Version", "2") // of the page before
	w.wait("the state of version 2", "document.querySelector('[aria-label=\"The state at version 2\"]')?.innerText.includes('0 <img')")
	n := open(t, s.Service, at, narrow)
	n.shows("commandRefused")
	n.dark()
	n.click(".opener", "commandRefused")
	n.shows("Digest before")
	n.shot("streams-narrow-dark")
	n.accessible()
	n.visit("#/streams/user/nobody")
	n.shows("The log has no record of user/nobody")
}

// A form makes a command; the answer has the command's way.
func TestSend(t *testing.T) {
	t.Parallel()
	s := startTroubled(t)
	w := open(t, s.Service, "#/send/createUser", wide)
	w.fill("id", "1")
	w.fill("name", "it's "+hostile)
	w.click("button", "Send")
	w.shows("Visible in read model names")
	w.harmless()
	w.shot("send-wide")
	w.accessible()
	w.click("button", "Send")
	w.shows("409 Refused")
	w.fill("name", "")
	w.click("button", "Send")
	w.shows("400 Invalid")
	w.wait("the wrong field is marked", "document.querySelector('[name=\"/payload/name\"]').getAttribute('aria-invalid') === 'true'")
	w.shot("send-invalid-wide")
	w.accessible()
	w.visit("#/send/pack")
	w.fill("id", "p1")
	w.run("[...document.querySelectorAll('legend')].find((e) => e.textContent === 'tags').parentElement.querySelector(':scope > button').click()")
	w.fill("tags 1", hostile)
	w.fill("prices", `{"a":1}`)
	w.wait("the command line has the list", "document.querySelector('.curl').innerText.includes('\"tags\":[\"<img')")
	w.shot("send-pack-wide")
	w.accessible()
	w.click("button", "Send")
	w.shows("400 Invalid")
	n := open(t, s.Service, "#/send/pack", narrow)
	n.shows("command line")
	n.dark()
	n.shot("send-narrow-dark")
	n.accessible()
}
