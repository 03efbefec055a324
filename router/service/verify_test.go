package service

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/readmodel"
)

// sql changes the read models' database behind the store's back.
func (s *stack) sql(statement string) {
	s.t.Helper()
	if s.shared["store.driver"] == "postgres" {
		ctx := s.t.Context()
		conn, err := pgx.Connect(ctx, s.shared["store.postgres.url"])
		if err != nil {
			s.t.Fatal(err)
		}
		_, err = conn.Exec(ctx, statement)
		if err := errors.Join(err, conn.Close(ctx)); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	s.onSQLite(func(conn *sql.Conn) error {
		_, err := conn.ExecContext(s.t.Context(), statement)
		return err
	})
}

// onSQLite does something with the read models' database.
func (s *stack) onSQLite(do func(*sql.Conn) error) {
	s.t.Helper()
	file := url.URL{Scheme: "file", Path: filepath.Join(s.shared["data_dir"], "read.db"), RawQuery: "_busy_timeout=10000"}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := db.Conn(s.t.Context())
	if err == nil {
		err = errors.Join(do(conn), conn.Close())
	}
	if err := errors.Join(err, db.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// wantApp runs a command line, and checks the exit code and some texts of the
// output.
func (s *stack) wantApp(code int, want []string, args ...string) {
	s.t.Helper()
	printed, got := s.app(args...)
	if got != code {
		s.t.Errorf("app %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, printed)
	}
	for _, text := range want {
		if !strings.Contains(printed, text) {
			s.t.Errorf("app %s: there is no %q in\n%s", strings.Join(args, " "), text, printed)
		}
	}
}

// wantProven checks that all read models are as the log makes them.
func (s *stack) wantProven() {
	s.t.Helper()
	models := s.allModels()
	want := make([]string, 0, len(models))
	for _, p := range models {
		want = append(want, p.Name+": proven")
	}
	s.wantApp(exitOK, want, "verify")
}

// Changes behind the store's back are found, named, and mended.
func TestVerifyAndRepair(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	for id := 1; id <= 5; id++ {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"Name %d"}}`, id, id))
	}
	s.waitForUsers(s.history())
	s.wantProven()
	for _, test := range []struct{ name, by, finds string }{
		{"a value", `UPDATE users_users_1 SET name = 'Eve' WHERE id = '3'`, `name is "Eve", and the log makes it "Name 3"`},
		{"a row is gone", `DELETE FROM users_users_1 WHERE id = '3'`, "is missing"},
		{"a row too many", `INSERT INTO users_users_1 SELECT 'x' || sort_key, 'x', name, version, active, deleted, created_at, updated_at, email FROM users_users_1 WHERE id = '3'`, "is there, and the log doesn't make it"},
		{"a head's digest", `UPDATE heads SET digest = (SELECT digest FROM heads WHERE stream = 'user/4' AND projection = 'users') WHERE stream = 'user/3' AND projection = 'users'`, `stream "user/3": digest is`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := *s
			s.t = t
			s.sql(test.by)
			s.wantApp(exitFailed, []string{"users: DIFFERS", test.finds, "1 place", "history: proven"}, "verify")
			s.wantApp(exitFailed, []string{test.finds}, "verify", "users")
			s.wantApp(exitOK, nil, "verify", "history", "stats")
			s.wantApp(exitOK, []string{"users: mended, and proven", test.finds}, "verify", "users", "--repair")
			s.wantProven()
		})
	}
	s.accept(`{"type":"renameUser","payload":{"id":3,"name":"Later"}}`)
	s.waitForUser(user{ID: "3", Name: "Later", Version: 2, Active: true})
	s.wantProven()
	s.wantApp(exitUsage, []string{`there is no read model "people"`}, "verify", "people")
	s.wantApp(exitUsage, []string{"store.driver"}, "verify", "--set", "store.driver=memory")
}

// Verifying needs no stop of any process.
func TestVerifyUnderLoad(t *testing.T) {
	underLoad(t)
	t.Parallel()
	s := terminals(t)
	ctx, stop := context.WithCancel(t.Context())
	clients := new(errgroup.Group)
	customers := make([]*customer, 4)
	for i := range customers {
		customers[i] = &customer{id: users.ID(fmt.Sprint(i + 1))}
		clients.Go(func() error { return customers[i].order(ctx, s) })
	}
	for range 4 {
		s.waitForMore(customers)
		s.wantProven()
		s.wantApp(exitOK, nil, "verify", "--repair")
	}
	stop()
	if err := clients.Wait(); err != nil {
		t.Fatal(err)
	}
	s.waitForUsers(s.history())
	s.wantProven()
	s.wantStatus(s.queryService, "history", 0)
	s.wantStatus(s.readAPI, "stats", 0)
}

// newerEvent adds an event to the program, as in a later version.
const newerEvent = "TEST_NEWER_EVENT"

type userTagged struct {
	ID  users.ID   `json:"id"`
	Tag users.Name `json:"tag"`
}

func (userTagged) Type() string { return "userTagged" }

func (e userTagged) AggregateID() string { return string(e.ID) }

func (userTagged) Apply(u users.User) users.User { return u }

// append writes a counting record into the log, as another binary would.
func (s *stack) append(stream, recordType, body string) {
	s.t.Helper()
	records := s.readLog()[stream]
	last := records[len(records)-1]
	headers := map[string]string{
		eventlog.HeaderCommandHash: "x", eventlog.HeaderCommandID: fmt.Sprint("by-hand-", last.Seq), eventlog.HeaderID: fmt.Sprint("x", last.Seq),
		eventlog.HeaderCommandPosition: last.CommandPosition.String(), eventlog.HeaderSource: "urn:millrace:command-service",
		eventlog.HeaderSpecVersion: "1.0", eventlog.HeaderSubject: stream, eventlog.HeaderTime: "2026-09-21T09:11:12.000Z",
		eventlog.HeaderType: recordType, eventlog.HeaderSeq: strconv.FormatUint(last.Seq+1, 10),
		eventlog.HeaderPrev: last.Digest.String(), eventlog.HeaderVersion: strconv.FormatUint(last.Version+1, 10),
	}
	s.produce(eventlog.TopicEvents, stream, headers, body)
}

// produce writes a message into a topic, as any client of Kafka would.
func (s *stack) produce(topic, key string, headers map[string]string, body string) {
	s.t.Helper()
	m := &sarama.ProducerMessage{
		Topic: s.topic(topic), Partition: eventlog.PartitionOf(key, 12),
		Key: sarama.StringEncoder(key), Value: sarama.StringEncoder(body),
	}
	for key, value := range headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(key), Value: []byte(value)})
	}
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(s.brokers(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _, err = producer.SendMessage(m)
	if err := errors.Join(err, producer.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// wantStatus asks the admin address of a process how a read model stands.
func (s *stack) wantStatus(of *service, name string, parked int) {
	s.t.Helper()
	eventually(s.t, "the read model's status", func() error {
		got, err := send(s.client, http.MethodGet, "http://"+of.at.Admin+"/projections", "", "")
		if err != nil {
			return err
		}
		var answer struct{ Projections []readmodel.Status }
		if err := json.Unmarshal([]byte(got.body), &answer); got.status != http.StatusOK || err != nil {
			return fmt.Errorf("%s, %w", got, err)
		}
		for _, p := range answer.Projections {
			if p.Name == name && p.Lag != nil && *p.Lag == 0 && p.Parked.Count == parked && len(p.Parked.First) == parked &&
				p.Stale == (parked > 0) && len(p.Partitions) == 12 && p.Generation == 1 {
				return nil
			}
		}
		return errors.New(got.body)
	})
}

// A user with an event that this binary can't read is parked in the read models,
// and no other user is. A binary that can read the event applies the user's
// events again, from the log.
func TestUserParkedInReadModels(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	for id := 1; id <= 4; id++ {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"Name %d"}}`, id, id))
	}
	s.waitForUsers(s.history())
	s.append("user/1", "userTagged", `{"id":1,"tag":"vip"}`)
	s.append("user/1", "userRenamed", `{"id":1,"name":"After"}`)
	s.append("user/2", "userRenamed", `{"id":2,`)
	s.accept(`{"type":"renameUser","payload":{"id":3,"name":"Else"}}`)
	s.waitForUser(user{ID: "3", Name: "Else", Version: 2, Active: true})
	eventually(t, "both are parked", func() error {
		if list, code := s.app("projections", "parked"); code != exitOK || strings.Count(list, ", at version ") != 2*len(s.allModels()) {
			return fmt.Errorf("exit code %d\n%s", code, list)
		}
		return nil
	})
	s.wantStatus(s.queryService, "users", 2)
	s.wantApp(exitOK, []string{"users: user/1, at version 1, since offset", "users: user/2, at version 1, since offset"}, "projections", "parked", "users")
	got, err := s.get("/users/1")
	if err != nil || !strings.Contains(got.body, `"name":"Name 1"`) || !strings.Contains(got.body, `"stale":true`) {
		t.Errorf("GET /users/1: %s %v", got, err)
	}
	s.wantApp(exitOK, []string{"users: proven", "2 streams, compared as they stood"}, "verify")
	s.wantApp(exitFailed, []string{"parked again: user/1", "parked again: user/2"}, "projections", "retry", "users")
	s.wantApp(exitFailed, []string{"stream user/3 is not parked"}, "projections", "retry", "users", "user/3")
	s.wantProven()

	s.setenv(newerEvent, "1")
	s.queryService.kill()
	s.queryService.start()
	s.wantApp(exitOK, []string{"this binary can go on there: app projections retry users user/1\n"}, "verify")
	s.wantApp(exitOK, []string{"user/1 goes on, at version 3"}, "projections", "retry", "users", "user/1")
	s.waitForUser(user{ID: "1", Name: "After", Version: 3, Active: true})
	s.wantProven()
	for _, p := range s.allModels()[1:] {
		s.wantApp(exitFailed, []string{"user/1 goes on", "parked again: user/2"}, "projections", "retry", p.Name)
	}
	s.wantProven()
	got, err = s.get("/users/1/history")
	var events []struct{ Type string }
	if err := errors.Join(err, json.NewDecoder(bytes.NewReader([]byte(got.body))).Decode(&events)); err != nil || len(events) != 3 {
		t.Errorf("GET /users/1/history: %s %v", got, err)
	}
	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Last"}}`)
	s.waitForUser(user{ID: "1", Name: "Last", Version: 4, Active: true})
	s.wantStatus(s.queryService, "users", 1)
	s.wantProven()
}
