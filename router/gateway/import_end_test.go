package gateway

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
)

const stopped = "unavailable 503"

// A service that stops takes no more lines, reports the line of the stop, and
// answers the lines before with known results.
func TestImportWhenTheServiceStops(t *testing.T) {
	windowful := []string{"1 accepted c0"}
	for i := range importWindow + 1 {
		windowful = append(windowful, fmt.Sprintf("%d unavailable 503 c%d", i+2, i+1))
	}
	windowful = append(windowful, fmt.Sprint(importWindow+3, " ", stopped))
	tests := []struct {
		name string
		wait string
		run  func(t *testing.T, s *commandServer, sends *gates, c *importClient)
		want []string
	}{
		{"idle", "wait=0", func(_ *testing.T, _ *commandServer, sends *gates, c *importClient) {
			close(sends.of("a"))
			c.send(create("a", "1"))
			c.want("1 accepted a")
		}, []string{"2 " + stopped}},
		{"in a line", "wait=0", func(_ *testing.T, _ *commandServer, _ *gates, c *importClient) {
			c.raw("5\r\n{\"typ\r\n")
		}, []string{"1 " + stopped}},
		{"with outcomes to come", "wait=20", func(_ *testing.T, s *commandServer, sends *gates, c *importClient) {
			close(sends.of("a"))
			s.holdBack()
			c.send(create("a", "1"))
		}, []string{"1 accepted a", "2 " + stopped}},
		{"with sends under way", "wait=0", func(_ *testing.T, _ *commandServer, sends *gates, c *importClient) {
			c.send(create("a", "1"), create("b", "1"), create("c", "2"))
			time.AfterFunc(time.Second, func() {
				close(sends.of("a"))
				close(sends.of("c"))
			})
		}, []string{"1 accepted a", "2 unavailable 503 b", "3 accepted c", "4 " + stopped}},
		{"with no place free", "wait=0", func(t *testing.T, s *commandServer, sends *gates, c *importClient) {
			s.holdBack()
			for i := range 4 {
				id := fmt.Sprint("taken", i)
				close(sends.of(id))
				s.wantTaken(t, id)
			}
			c.send(create("a", "1"))
		}, []string{"1 overloaded 503 a", "2 " + stopped}},
		{"with the window full", "wait=0", func(_ *testing.T, _ *commandServer, sends *gates, c *importClient) {
			// One is being answered, and one finds no room.
			for i := range importWindow + 2 {
				c.send(create(fmt.Sprint("c", i), "1"))
			}
			time.AfterFunc(time.Second, func() { close(sends.of("c0")) })
		}, windowful},
		{"at the end", "wait=20", func(_ *testing.T, s *commandServer, sends *gates, c *importClient) {
			close(sends.of("a"))
			s.holdBack()
			c.send(create("a", "1"))
			c.end()
		}, []string{"1 accepted a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sends gates
				s := newCommandServer(t, func(s *commandServer) {
					s.sending, s.gateway.Timeout, s.gateway.MaxUndecided = sends.pass, time.Hour, 4
				})
				c := startImport(t, dialInMemory(t, s), "Prefer", test.wait)
				c.readHead()
				test.run(t, s, &sends, c)
				synctest.Wait()
				start := time.Now()
				close(s.stopping)
				c.wantEnd(test.want...)
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("it took %v", took)
				}
				s.release()
			})
		})
	}
}

func TestImportStalls(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(c *importClient)
	}{
		{"between lines", func(*importClient) {}},
		{"in a line", func(c *importClient) { c.raw("5\r\n{\"typ\r\n") }},
		{"in a chunk", func(c *importClient) { c.raw("500\r\n{\"typ") }},
		{"drop by drop", func(c *importClient) {
			for range 29 {
				c.raw("1\r\n{\r\n")
				time.Sleep(time.Second)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newCommandServer(t, nil)
				c := startImport(t, dialInMemory(t, s))
				for i := range 3 { // each line has time of its own
					c.send(create(fmt.Sprint("c", i), "1"))
					c.want(fmt.Sprintf("%d accepted c%d", i+1, i))
					time.Sleep(importPatience - time.Second)
				}
				c.send("")
				start := time.Now()
				test.send(c)
				c.want("5 invalid-request 400")
				if took := time.Since(start); took != importPatience {
					t.Errorf("cut off after %v", took)
				}
				c.wantEnd()
				// What comes late is no new request on this connection.
				_, _ = io.WriteString(c.conn, "\r\nPOST /commands HTTP/1.1\r\nHost: x\r\n\r\n")
				if rest, err := io.ReadAll(c.in); len(rest) > 0 {
					t.Errorf("and then came %q, %v", rest, err)
				}
			})
		})
	}
}

// The window bounds an import: a client that doesn't read its results is not
// read any further, and cut off in the end.
func TestImportThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s), "Prefer", "wait=1")
		var written atomic.Int32
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				line := padded(create(fmt.Sprint("c", written.Load()), fmt.Sprint(written.Load())), maxBody/4) + "\n"
				if _, err := fmt.Fprintf(c.conn, "%x\r\n%s\r\n", len(line), line); err != nil {
					return
				}
				written.Add(1)
			}
		}()
		synctest.Wait()
		// The window, a line at either end of it, and what fits into a buffer.
		if n := written.Load(); n < importWindow || n > importWindow+2+5 {
			t.Errorf("%d lines were read, want some %d", n, importWindow)
		}
		start := time.Now()
		<-ended
		if took := time.Since(start); took < importPatience || took > importPatience+importLinger {
			t.Errorf("cut off after %v", took)
		}
		synctest.Wait()
		if n := s.states.Waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

// A client that neither reads nor sends is cut off after the first of the two
// deadlines.
func TestImportThatDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s))
		c.readHead()
		start := time.Now()
		c.send(create("a", "1"))
		time.Sleep(20 * time.Second)
		c.send(create("b", "1"))
		synctest.Wait()
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if _, err := c.conn.Write([]byte("1")); err == nil {
			t.Errorf("it still reads after %v", time.Since(start))
		}
	})
}

// A client that goes leaves nothing behind, wherever its lines are.
func TestImportClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sends gates
		s := newCommandServer(t, func(s *commandServer) { s.sending, s.gateway.Timeout = sends.pass, time.Minute })
		s.holdBack()
		c := startImport(t, dialInMemory(t, s), "Prefer", "wait=30")
		c.readHead()
		for i := range 100 {
			c.send(create(fmt.Sprint("c", i), fmt.Sprint(i%5)))
		}
		for i := range 50 {
			close(sends.of(fmt.Sprint("c", i)))
		}
		synctest.Wait()
		if n := s.states.Waiting(); n != 100+55 {
			t.Errorf("%d wait, want each line, and the place of each that is sent", n)
		}
		_ = c.conn.Close()
		time.Sleep(time.Hour)
		s.release()
		synctest.Wait()
		if n := s.states.Waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
		if n := len(s.sentIDs()); n != 50 {
			t.Errorf("sent %d commands, want 50", n)
		}
		for i := 50; i < 55; i++ {
			close(sends.of(fmt.Sprint("c", i)))
		}
	})
}

// A body breaks off, and the client still reads.
func TestImportBodyCutOff(t *testing.T) {
	for _, test := range []struct{ name, length, body string }{
		{"in a line", "1000", create("a", "1") + "\n" + create("b", "1")},
		{"between lines", "1000", create("a", "1") + "\n"},
		{"in a chunk", "", "500\r\n" + create("a", "1") + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newCommandServer(t, nil)
			conn := dialTCP(t, s)
			var headers []string
			if test.length != "" {
				headers = []string{"Content-Length", test.length}
			}
			c := startImport(t, conn, headers...)
			c.raw(test.body)
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			c.wantEnd("1 accepted a", "2 invalid-request 400")
			if got := fmt.Sprint(s.sentIDs()); got != "[a]" {
				t.Errorf("sent %s", got)
			}
		})
	}
}

// A client may close its sending side after a whole body, and gets everything.
func TestImportHalfClosed(t *testing.T) {
	s := newCommandServer(t, nil)
	s.holdBack()
	conn := dialTCP(t, s)
	c := startImport(t, conn, "Prefer", "wait=30")
	c.send(create("a", "1"), create("b", "1"))
	c.end()
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.readHead()
	s.release()
	c.wantEnd("1 succeeded a", "2 user-exists 409 b")
}

// A client that is cut off in the middle of a send reads the reason. In this
// test nothing buffers between client and server: once the server has stopped
// reading, sends fail.
func TestImportCutOffWhileItSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s))
		c.send(create("a", "1"))
		c.want("1 accepted a")
		close(s.stopping)
		var sending sync.WaitGroup
		sending.Go(func() {
			line := create("b", "1") + "\n"
			for range 100 {
				if _, err := fmt.Fprintf(c.conn, "%x\r\n%s\r\n", len(line), line); err != nil {
					return
				}
			}
		})
		c.wantEnd("2 " + stopped)
		sending.Wait()
	})
}

// An answer with a long pause has its proper end.
func TestImportEndsLongAfterItsLastLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s))
		c.send(create("a", "1"))
		c.want("1 accepted a")
		for range 5 {
			time.Sleep(importPatience - time.Second)
			c.send("")
		}
		c.end()
		c.wantEnd()
	})
}

// A line that makes this program panic ends its own import, and nothing else.
func TestImportThatPanics(t *testing.T) {
	withCommand(t, func() aggregate.Command[users.User] { return new(brittleUser) })
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s))
		c.send(create("a", "1"))
		c.want("1 accepted a")
		c.send(`{"type":"brittleUser","payload":{"id":1}}`)
		if rest, err := io.ReadAll(c.answer.Body); len(rest) > 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %q, %v; want an answer that is cut off", rest, err)
		}
		s.wantTaken(t, "b")
		s.wantUndecided(t, 0)
	})
}

// brittleUser is a command that panics when read.
type brittleUser struct {
	ID brittleID `json:"id"`
}

type brittleID string

func (*brittleID) UnmarshalJSON([]byte) error { panic("a fault in reading") }

func (brittleUser) Type() string { return "brittleUser" }

func (brittleUser) AggregateID() string { return "1" }

func (brittleUser) Decide(users.User) (aggregate.Event[users.User], error) { return nil, nil }
