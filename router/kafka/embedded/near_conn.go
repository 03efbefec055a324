package embedded

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

// nearConn is an end of a connection in memory. A connection over TCP would take
// several system calls for each request, and both sides would wait for the
// network poller.
type nearConn struct {
	in, out *stream
	address net.Addr
}

// newNearConns returns both ends of a connection.
func newNearConns(address net.Addr) (client, server *nearConn) {
	a, b := newStream(), newStream()
	return &nearConn{a, b, address}, &nearConn{b, a, address}
}

// Read implements [net.Conn].
func (c *nearConn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write implements [net.Conn]. Bytes for an end that has closed are lost without an
// error, as over TCP, until its last bytes are read: they say why, such as an alert
// of TLS.
func (c *nearConn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	if errors.Is(err, io.ErrClosedPipe) && !c.in.isOver() {
		return len(p), nil
	}
	return n, err
}

// Close implements [net.Conn]. The other end reads what was written before.
func (c *nearConn) Close() error {
	c.in.close(true)
	c.out.close(false)
	return nil
}

// LocalAddr implements [net.Conn].
func (c *nearConn) LocalAddr() net.Addr { return c.address }

// RemoteAddr implements [net.Conn].
func (c *nearConn) RemoteAddr() net.Addr { return c.address }

// SetDeadline implements [net.Conn].
func (c *nearConn) SetDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reader, t)
	c.out.setDeadline(&c.out.writer, t)
	return nil
}

// SetReadDeadline implements [net.Conn].
func (c *nearConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reader, t)
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (c *nearConn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writer, t)
	return nil
}

const (
	// streamRoom is how many bytes may wait for the reader before a writer waits.
	streamRoom = 256 << 10
	// streamKept is the memory that an empty stream keeps.
	streamKept = 64 << 10
)

// stream is one direction of a connection.
type stream struct {
	mu     sync.Mutex
	data   []byte
	at     int  // the first byte of data that is not read
	ended  bool // no more is written
	over   bool // the reader knows that the stream has ended
	unread bool // the reader has closed
	reader side
	writer side
}

// side is a reader or a writer. One call works at a time.
type side struct {
	turn     sync.Mutex // a call has the turn
	wake     chan struct{}
	timer    *time.Timer // of the call that has the turn
	deadline time.Time
}

func newStream() *stream {
	return &stream{reader: side{wake: make(chan struct{}, 1)}, writer: side{wake: make(chan struct{}, 1)}}
}

func (s *stream) read(p []byte) (n int, err error) {
	s.reader.turn.Lock()
	defer s.reader.turn.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.unread:
			return 0, net.ErrClosed
		case s.reader.late():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case s.at < len(s.data):
			n = copy(p, s.data[s.at:])
			s.taken(n)
			return n, nil
		case s.ended:
			s.over = true
			return 0, io.EOF
		}
		s.wait(&s.reader)
	}
}

func (s *stream) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// taken takes n bytes away.
func (s *stream) taken(n int) {
	if s.at += n; s.at < len(s.data) {
		return
	}
	if s.data, s.at = s.data[:0], 0; cap(s.data) > streamKept {
		s.data = nil
	}
	s.writer.awake()
}

func (s *stream) write(p []byte) (n int, err error) {
	s.writer.turn.Lock()
	defer s.writer.turn.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.ended:
			return n, net.ErrClosed
		case s.unread:
			return n, io.ErrClosedPipe
		case s.writer.late():
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		case len(s.data) < streamRoom:
			some := p[:min(len(p), streamRoom-len(s.data))]
			s.data, p, n = append(s.data, some...), p[len(some):], n+len(some)
			s.reader.awake()
			continue
		}
		s.wait(&s.writer)
	}
}

// close ends the stream for its reader or its writer.
func (s *stream) close(reader bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reader {
		s.unread, s.data, s.at = true, nil, 0
	} else {
		s.ended = true
	}
	s.reader.awake()
	s.writer.awake()
}

func (s *stream) setDeadline(of *side, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of.deadline = t
	of.awake()
}

// wait waits for a change, or for the deadline, without the stream's lock.
func (s *stream) wait(by *side) {
	var late <-chan time.Time
	if !by.deadline.IsZero() {
		if by.timer == nil {
			by.timer = time.NewTimer(time.Until(by.deadline))
		} else {
			by.timer.Reset(time.Until(by.deadline))
		}
		late = by.timer.C
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-by.wake:
		if late != nil {
			by.timer.Stop()
		}
	case <-late:
	}
	// Under full load all other goroutines go first, as behind the network poller:
	// meanwhile clients gather messages, and so send fewer requests.
	runtime.Gosched()
}

// late says whether the deadline is over.
func (s *side) late() bool { return !s.deadline.IsZero() && !time.Now().Before(s.deadline) }

// awake makes a call that waits look again.
func (s *side) awake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
