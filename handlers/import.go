package handlers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"io"
	"net/http"
	"time"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/web"
)

const (
	// importWindow is how many lines of one import are under way at once.
	importWindow = 512
	// importSenders send lines side by side; one user's all by the same one.
	importSenders = 64
	// importPatience is how long a client may take for a line, or to read a
	// result.
	importPatience = 30 * time.Second
)

// lineResult is the answer to one line: what a POST of its own would have
// been told.
type lineResult struct {
	Line int `json:"line"`
	*commandAnswer
	Problem *web.Problem `json:"problem,omitempty"`
}

// importLine is a line on its way.
type importLine struct {
	number int
	ticket *ticket       // nil if the line is wrong
	sent   chan struct{} // closed when err says how sending went
	err    error
}

// postMany takes a command a line, and answers with a result a line, in the
// same order, as they come (NDJSON). A line that is wrong is reported in its
// place. The client is read as fast as commands are taken.
func (g *Gateway) postMany(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get(headerIdempotencyKey) != "" {
		return invalid("many commands can't share one id", web.FieldError{
			Parameter: headerIdempotencyKey, Detail: "must not be given with " + mediaNDJSON + "; give each line its id",
		})
	}
	control := http.NewResponseController(w)
	if err := control.EnableFullDuplex(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaNDJSON)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	lines := make(chan *importLine, importWindow)
	go func() {
		defer close(lines)
		g.readLines(ctx, r, control, lines)
	}()
	for line := range lines {
		_ = control.SetWriteDeadline(time.Now().Add(importPatience)) // it begins anew with each line
		if err := writeResult(ctx, w, line); err != nil {
			cancel()          // the client is gone
			for range lines { //nolint:revive // what was read is dropped, or sent already
			}
			return nil //nolint:nilerr // nobody to tell
		}
		if len(lines) == 0 {
			_ = control.Flush() // the next write says if the client is gone
		}
	}
	return nil
}

// readLines decodes lines and has them sent, in order for each user.
func (g *Gateway) readLines(ctx context.Context, r *http.Request, control *http.ResponseController, lines chan<- *importLine) {
	seed := maphash.MakeSeed()
	senders := make([]chan *importLine, importSenders)
	for i := range senders {
		senders[i] = make(chan *importLine, importWindow)
		go sendLines(ctx, senders[i])
		defer close(senders[i])
	}
	wait := preferredWait(r.Header)
	in := bufio.NewReaderSize(r.Body, maxBody+2) // a line and its end
	for number := 1; ; number++ {
		select {
		case <-g.Stopping:
			lines <- failed(number, web.Unavailable("the service is stopping; send this line and the rest again"))
			return
		default:
		}
		_ = control.SetReadDeadline(time.Now().Add(importPatience))
		text, err := readLine(in)
		if len(text) == 0 && err == nil {
			continue
		}
		if len(text) == 0 && errors.Is(err, io.EOF) {
			return
		}
		line := &importLine{number: number, sent: make(chan struct{})}
		var problem *web.Problem
		switch {
		case err == nil || errors.Is(err, io.EOF):
			line.ticket, problem = g.decodeLine(text, wait)
		case errors.Is(err, bufio.ErrBufferFull):
			problem, err = tooLarge(), nil
		default:
			problem = invalid("the body ended before it was complete")
		}
		if problem != nil {
			line = failed(number, problem)
		}
		select {
		case lines <- line:
		case <-ctx.Done():
			return
		}
		if line.ticket != nil {
			senders[maphash.String(seed, line.ticket.command.Stream)%importSenders] <- line
		}
		if err != nil {
			return
		}
	}
}

func failed(number int, problem *web.Problem) *importLine {
	line := &importLine{number: number, sent: make(chan struct{}), err: problem}
	close(line.sent)
	return line
}

// readLine reads a line without its end. A line that is too long is skipped,
// and the error is bufio.ErrBufferFull.
func readLine(in *bufio.Reader) ([]byte, error) {
	text, err := in.ReadSlice('\n')
	for full := err; errors.Is(full, bufio.ErrBufferFull); {
		text = nil
		if _, full = in.ReadSlice('\n'); full != nil && !errors.Is(full, bufio.ErrBufferFull) {
			err = full
		}
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) > maxBody {
		return nil, bufio.ErrBufferFull
	}
	return bytes.Clone(text), err
}

func (g *Gateway) decodeLine(text []byte, wait time.Duration) (*ticket, *web.Problem) {
	c, wrong := decodeRequest(text)
	if len(wrong) > 0 {
		return nil, invalid("the line is wrong at the places in errors", wrong...)
	}
	if err := g.stamp(c); err != nil {
		return nil, unknown(c)
	}
	return g.begin(c, wait), nil
}

// sendLines sends lines one after the other. Once it is not known whether a
// line was taken, the later ones of that user are not sent: they would
// overtake it.
func sendLines(ctx context.Context, lines <-chan *importLine) {
	stuck := map[string]bool{}
	for line := range lines {
		c := line.ticket.command
		if stuck[c.Stream] {
			line.err = behind(c)
		} else if line.err = line.ticket.send(ctx, waitWhenFull); line.err != nil {
			stuck[c.Stream] = true
		}
		close(line.sent)
	}
}

func behind(c *messaging.Command) *web.Problem {
	p := web.Unavailable("not sent: it is not known whether an earlier line of this user was taken; send both again, with these ids")
	p.ID = c.ID
	return p
}

// writeResult waits for a line's turn and writes its result.
func writeResult(ctx context.Context, w io.Writer, line *importLine) error {
	if line.ticket != nil {
		defer line.ticket.close()
	}
	select {
	case <-line.sent:
	case <-ctx.Done():
		return ctx.Err()
	}
	result := lineResult{Line: line.number}
	err := line.err
	if err == nil {
		var answer commandAnswer
		if answer, err = line.ticket.answer(ctx); err == nil {
			result.commandAnswer = &answer
		}
	}
	if err != nil && !errors.As(err, &result.Problem) {
		result.Problem = unknown(line.ticket.command)
	}
	return json.NewEncoder(w).Encode(result)
}
