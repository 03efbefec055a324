package messaging

import (
	"net"
	"sync/atomic"
	"time"
)

// pace is how long after a request the next one goes out at the earliest. A
// message that comes alone finds a connection that has been silent for longer,
// or a fetch that waits for it at the broker, and isn't held up. When many
// come, each request takes along what came meanwhile: requests, and all that a
// broker and a client do for each, are most of what a message costs.
const pace = 2 * time.Millisecond

// pacedDialer dials brokers for a client that has one request under way at a
// time.
type pacedDialer struct{ net.Dialer }

// Dial implements proxy.Dialer, of golang.org/x/net.
func (d *pacedDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return newPacedConn(conn), nil
}

// pacedConn holds a request's first write back.
type pacedConn struct {
	net.Conn
	answered atomic.Bool // something was read since the last write
	began    time.Time   // the last request; writes come one at a time
}

func newPacedConn(conn net.Conn) *pacedConn {
	c := &pacedConn{Conn: conn}
	c.answered.Store(true)
	return c
}

func (c *pacedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.answered.Store(true)
	return n, err
}

func (c *pacedConn) Write(p []byte) (int, error) {
	if c.answered.Swap(false) {
		time.Sleep(pace - time.Since(c.began))
		c.began = time.Now()
	}
	return c.Conn.Write(p)
}
