package console

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/web"
)

// Log is the view of the log's records as they come.
type Log struct {
	Partitions int32
	// Follow calls fn with the new records of all partitions, some at once, until
	// the context ends. Calls for several partitions may run at the same time. The
	// records are shared: fn must not change a record.
	Follow func(ctx context.Context, fn func([]eventlog.Record)) error
	// Newest returns up to n of the newest messages of a partition, the newest last.
	Newest func(ctx context.Context, partition int32, n int) ([]RawRecord, error)
	// At returns the message at an offset, or [ErrNoRecord].
	At func(ctx context.Context, partition int32, offset int64) (RawRecord, error)

	tail tail
}

// RawRecord is a message of the log, with the time when the producer sent the
// message.
type RawRecord struct {
	eventlog.RawMessage
	Appended time.Time
}

// ErrNoRecord is the error of an offset without a record.
var ErrNoRecord = errors.New("there is no record at this offset")

const (
	// newest is the number of a partition's last messages that GET /api/log looks
	// at.
	newest = 200
	// maxLogLimit is the largest number of records in an answer.
	maxLogLimit     = 500
	defaultLogLimit = 50
	// shownBody is how much of a body a list shows, in bytes.
	shownBody = 300
)

// Routes adds the routes of the view.
func (l *Log) Routes(api *API) {
	api.Get("/api/log", l.list)
	api.Events("/api/log/events", l.follow)
	api.Get("/api/log/{partition}/{offset}", l.show)
}

// filter picks records. Empty texts pick all.
type filter struct{ stream, kind, contains string }

// filterOf reads a filter from the query.
func filterOf(q url.Values) filter {
	return filter{q.Get("stream"), q.Get("type"), q.Get("contains")}
}

// picks says whether the filter picks a record: the stream begins with the text
// of the filter, the type is the filter's, the body contains the text.
func (f filter) picks(r *eventlog.Record) bool {
	return strings.HasPrefix(r.Stream, f.stream) && (f.kind == "" || r.Type == f.kind) &&
		(f.contains == "" || strings.Contains(string(r.Body), f.contains))
}

// line is a record in a list.
type line struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Time      string `json:"time,omitempty"`
	Stream    string `json:"stream,omitempty"`
	Type      string `json:"type,omitempty"`
	Seq       uint64 `json:"seq,omitempty"`
	Version   uint64 `json:"version"`
	CommandID string `json:"commandId,omitempty"`
	Body      string `json:"body"` // the beginning
	Problem   string `json:"problem,omitempty"`
}

func lineOf(r *eventlog.Record) line {
	l := line{
		Partition: r.Partition, Offset: r.Offset, Stream: r.Stream, Type: r.Type, Seq: r.Seq, Version: r.Version, CommandID: r.CommandID,
		Body: beginning(r.Body),
	}
	if !r.Time.IsZero() {
		l.Time = eventlog.FormatTime(r.Time)
	}
	switch {
	case r.Malformed != nil:
		l.Problem = r.Malformed.Error()
	case r.Unreadable != nil:
		l.Problem = r.Unreadable.Error()
	}
	return l
}

// beginning is the beginning of a body, without half a character.
func beginning(body []byte) string {
	if len(body) <= shownBody {
		return strings.ToValidUTF8(string(body), "\uFFFD")
	}
	end := shownBody
	for end > 0 && !utf8.RuneStart(body[end]) {
		end--
	}
	return strings.ToValidUTF8(string(body[:end]), "\uFFFD") + "…"
}

// list answers with the newest records that the filter picks, among the last
// messages of each partition, the newest first.
func (l *Log) list(w http.ResponseWriter, r *http.Request) error {
	limit := defaultLogLimit
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLogLimit {
			return Invalid(web.FieldError{Parameter: "limit", Detail: "must be a number from 1 to " + strconv.Itoa(maxLogLimit)})
		}
		limit = n
	}
	ctx, cancel := context.WithTimeout(r.Context(), kafkaTimeout)
	defer cancel()
	f := filterOf(r.URL.Query())
	type stamped struct {
		line
		appended time.Time
	}
	var all []stamped
	for partition := range l.Partitions {
		messages, err := l.Newest(ctx, partition, newest)
		if err != nil {
			return web.Unavailable("Kafka doesn't answer: " + err.Error())
		}
		for _, m := range messages {
			record := eventlog.DecodeRecord(m.RawMessage, l.Partitions)
			if f.picks(&record) {
				all = append(all, stamped{lineOf(&record), m.Appended})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b stamped) int {
		if c := b.appended.Compare(a.appended); c != 0 {
			return c
		}
		return int(b.Offset - a.Offset)
	})
	lines := make([]line, 0, limit)
	for _, s := range all[:min(limit, len(all))] {
		lines = append(lines, s.line)
	}
	web.WriteJSON(w, http.StatusOK, map[string]any{"records": lines})
	return nil
}

// header is a header of a message.
type header struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// show answers with a message as Kafka holds the message.
func (l *Log) show(w http.ResponseWriter, r *http.Request) error {
	partition, err := strconv.ParseInt(mux.Vars(r)["partition"], 10, 32)
	offset, offsetErr := strconv.ParseInt(mux.Vars(r)["offset"], 10, 64)
	if err != nil || offsetErr != nil || partition < 0 || int32(partition) >= l.Partitions || offset < 0 {
		return notFound("there is no such place in the log")
	}
	ctx, cancel := context.WithTimeout(r.Context(), kafkaTimeout)
	defer cancel()
	m, err := l.At(ctx, int32(partition), offset)
	if errors.Is(err, ErrNoRecord) {
		return notFound(err.Error())
	}
	if err != nil {
		return web.Unavailable("Kafka doesn't answer: " + err.Error())
	}
	record := eventlog.DecodeRecord(m.RawMessage, l.Partitions)
	answer := struct {
		line
		Key        string          `json:"key"`
		Appended   string          `json:"appended"`
		Digest     string          `json:"digest"`
		Headers    []header        `json:"headers"`
		Body       json.RawMessage `json:"body,omitempty"`
		Text       string          `json:"text,omitempty"`
		BodyBase64 string          `json:"bodyBase64,omitempty"`
	}{line: lineOf(&record), Key: m.Key, Appended: eventlog.FormatTime(m.Appended), Digest: record.Digest.String(), Headers: []header{}}
	for _, h := range m.Headers {
		answer.Headers = append(answer.Headers, header{h.Key, h.Value})
	}
	switch {
	case json.Valid(m.Body):
		answer.Body = m.Body
	case utf8.Valid(m.Body):
		answer.Text = string(m.Body)
	default:
		answer.BodyBase64 = base64.StdEncoding.EncodeToString(m.Body)
	}
	web.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// notFound is the problem of something that is not there (404).
func notFound(detail string) *web.Problem {
	return &web.Problem{Slug: "not-found", Status: http.StatusNotFound, Title: "Not found", Detail: detail}
}
