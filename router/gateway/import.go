package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/web"
)

const (
	// importWindow bounds the lines of one import under way.
	importWindow = 512
	// importSenders is how many goroutines send the lines of an import. All
	// lines of a stream have the same sender.
	importSenders = 64
	// importPatience bounds the time for a client to send a line or to read
	// results, and the wait of a line for a place.
	importPatience = 30 * time.Second
	// importLinger is how long the rest of a body is read and dropped after the
	// last result. If the connection closed at once, the client might not read
	// the result.
	importLinger = time.Second
)

// importer is an import under way: one goroutine reads lines, some goroutines
// send commands, and one goroutine writes results.
type importer struct {
	*Gateway
	control   *http.ResponseController
	wait      time.Duration
	lines     chan *importLine // in order, read and not answered
	untilStop context.Context  // ends with the import, or when the service stops

	senders [importSenders]chan *importLine // each nil until its first line
}

// importLine is a line on its way.
type importLine struct {
	number  int
	pending *pendingRequest // nil for a wrong line
	sent    chan struct{}   // closed once err has the result of the send
	err     error
}

// postMany takes a command a line, and answers with a result a line, in the
// same order, while lines come (NDJSON). A wrong line gets a problem as its
// result. The client is read as fast as commands are taken.
func (g *Gateway) postMany(w http.ResponseWriter, r *http.Request) error {
	if len(r.Header.Values(headerIdempotencyKey)) > 0 {
		return invalid("many commands can't share one id", web.FieldError{
			Parameter: headerIdempotencyKey, Detail: "must not be given with " + mediaNDJSON + "; give each line its id",
		})
	}
	untilStop, over := context.WithCancel(context.Background())
	defer over()
	go func() {
		select {
		case <-g.Stopping:
			over()
		case <-untilStop.Done():
		}
	}()
	i := &importer{
		Gateway: g, control: http.NewResponseController(w), wait: preferredWait(r.Header),
		lines: make(chan *importLine, importWindow), untilStop: untilStop,
	}
	if err := i.control.EnableFullDuplex(); err != nil {
		return err
	}
	if r.Header.Get("Expect") != "" {
		w.WriteHeader(http.StatusContinue) // net/http doesn't send 100 once the answer has begun
	}
	w.Header().Set("Content-Type", mediaNDJSON)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Connection", "close") // or net/http would read the rest of the body as the next request
	applyWait(w.Header(), i.wait)
	w.WriteHeader(http.StatusOK)

	// Not the request's context: that one ends when a client closes its sending
	// side, and the client may read on. A write fails if the client doesn't.
	ctx, giveUp := context.WithCancel(context.WithoutCancel(r.Context()))
	defer giveUp()
	var writing sync.WaitGroup
	writing.Go(func() { i.write(ctx, w, giveUp) })
	defer writing.Wait()
	i.read(ctx, r.Body) // on this goroutine, where web recovers from panics
	return nil
}

var errEnding = errors.New("no more lines are taken")

// read takes lines until the body ends, the client stalls or is gone, or the
// service stops.
func (i *importer) read(ctx context.Context, body io.Reader) {
	defer close(i.lines)
	defer i.stopSenders()
	defer i.interruptReading(ctx)()
	in := bufio.NewReaderSize(body, maxBody+len("\r\n"))
	for number := 1; ; number++ {
		text, long, err := i.nextLine(ctx, in)
		switch {
		case errors.Is(err, errEnding):
			i.report(number, web.Unavailable("the service is stopping; send this line and the rest again"))
			return
		case err != nil && !errors.Is(err, io.EOF):
			i.report(number, invalid("the body ended, or stalled, before it was complete"))
			return
		case long:
			i.report(number, tooLarge())
		case len(text) > 0:
			i.take(ctx, number, text)
		}
		if err != nil {
			return
		}
	}
}

// interruptReading ends the read under way when the service stops or the client
// is gone. After stop, nothing is interrupted.
func (i *importer) interruptReading(ctx context.Context) (stop func()) {
	var interrupter sync.WaitGroup
	stopped := make(chan struct{})
	interrupter.Go(func() {
		select {
		case <-i.Stopping:
		case <-ctx.Done():
		case <-stopped:
			return
		}
		_ = i.control.SetReadDeadline(time.Unix(1, 0)) // long ago
	})
	return func() {
		close(stopped)
		interrupter.Wait()
	}
}

// nextLine reads a line, within the time for a line.
func (i *importer) nextLine(ctx context.Context, in *bufio.Reader) (text []byte, long bool, err error) {
	_ = i.control.SetReadDeadline(time.Now().Add(importPatience))
	// Only now, after the deadline is set: an interruption from here on sets
	// the last deadline.
	if !i.ending(ctx) {
		text, long, err = readLine(in)
	}
	if i.ending(ctx) {
		err = errEnding
	}
	return text, long, err
}

func (i *importer) ending(ctx context.Context) bool {
	select {
	case <-i.Stopping:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// readLine reads a line without its end, and skips a line that is too long. The
// text is valid until the next read.
func readLine(in *bufio.Reader) (text []byte, long bool, err error) {
	text, err = in.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		text, long = nil, true
		_, err = in.ReadSlice('\n')
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) > maxBody {
		text, long = nil, true
	}
	return text, long, err
}

// report adds a result for a wrong line.
func (i *importer) report(number int, problem *web.Problem) {
	line := &importLine{number: number, sent: make(chan struct{}), err: problem}
	close(line.sent)
	i.lines <- line
}

// take decodes a line, and hands the command to a sender.
func (i *importer) take(ctx context.Context, number int, text []byte) {
	c, wrong := decodeRequest(i.Registry, text, i.Now())
	if len(wrong) > 0 {
		i.report(number, invalid("the line is wrong at the places in errors", wrong...))
		return
	}
	if err := i.stamp(c); err != nil {
		i.report(number, unknown(c))
		return
	}
	line := &importLine{number: number, pending: i.begin(c, i.wait, i.imported, i.undecided), sent: make(chan struct{})}
	i.lines <- line
	sender := eventlog.PartitionOf(c.Stream, importSenders)
	if i.senders[sender] == nil {
		i.senders[sender] = make(chan *importLine, importWindow)
		go i.sendLines(ctx, i.senders[sender])
	}
	i.senders[sender] <- line
}

func (i *importer) stopSenders() {
	for _, sender := range i.senders {
		if sender != nil {
			close(sender)
		}
	}
}

// sendLines sends lines one after the other. After a line that was not sent, or
// perhaps not sent, later lines of the same stream are not sent: these would
// overtake the line.
func (i *importer) sendLines(ctx context.Context, lines <-chan *importLine) {
	stuck := map[string]bool{}
	for line := range lines {
		stream := line.pending.envelope.Stream
		if i.ending(ctx) || stuck[stream] {
			line.err = notSent(line.pending.envelope)
		} else if line.err = line.pending.send(ctx, i.acquire); line.err != nil {
			stuck[stream] = true
		}
		close(line.sent)
	}
}

// acquire takes a place, and waits a while for a free place, but not longer
// than until the service stops.
func (i *importer) acquire(l *limit) bool {
	if l.tryAcquire() {
		return true
	}
	ctx, cancel := context.WithTimeout(i.untilStop, importPatience)
	defer cancel()
	return l.acquire(ctx)
}

func notSent(c *eventlog.Envelope) *web.Problem {
	p := web.Unavailable("not sent: the service is stopping, or an earlier line of this stream may not have been taken; " +
		"send what is not known to be taken again, in this order, with these ids")
	p.ID = c.ID
	return p
}

// lineResult is the result of one line, with the answer to a POST of the same
// command.
type lineResult struct {
	Line int `json:"line"`
	*commandAnswer
	Problem *web.Problem `json:"problem,omitempty"`
}

// write writes the results in order, and flushes before each wait for a result.
// If the client is gone or doesn't read, write calls giveUp and writes no more.
func (i *importer) write(ctx context.Context, w io.Writer, giveUp func()) {
	results := json.NewEncoder(w)
	allow := func() { _ = i.control.SetWriteDeadline(time.Now().Add(importPatience)) }
	flush := func() error {
		allow()
		return i.control.Flush()
	}
	err := flush() // for clients that wait for the beginning of the answer
	for line := range i.lines {
		if err == nil && !line.ready() {
			err = flush()
		}
		if err == nil {
			result := line.result(ctx)
			allow()
			err = results.Encode(result)
		}
		if err == nil && len(i.lines) == 0 {
			err = flush()
		}
		if err != nil {
			giveUp()
		}
		line.close()
	}
	if err == nil {
		_ = flush()                                                 // the deadline leaves time for the end, written by net/http
		_ = i.control.SetReadDeadline(time.Now().Add(importLinger)) // for the rest of the body
	}
}

// ready reports whether the result needs no wait.
func (l *importLine) ready() bool {
	select {
	case <-l.sent:
		return l.err != nil || l.pending.watch == nil || l.pending.decided()
	default:
		return false
	}
}

// result waits for a line's result.
func (l *importLine) result(ctx context.Context) lineResult {
	<-l.sent
	result := lineResult{Line: l.number}
	err := l.err
	if err == nil {
		var answer commandAnswer
		if answer, err = l.pending.answer(ctx); err == nil {
			result.commandAnswer = &answer
		}
	}
	if err != nil && !errors.As(err, &result.Problem) {
		result.Problem = unknown(l.pending.envelope)
	}
	return result
}

func (l *importLine) close() {
	if l.pending != nil {
		l.pending.close()
	}
}
