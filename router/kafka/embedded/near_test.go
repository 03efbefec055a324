package embedded

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

// A connection in memory does what a connection of Go's net package does.
func TestNearConnections(t *testing.T) {
	nettest.TestConn(t, func() (client, server net.Conn, stop func(), err error) {
		far, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
		if err != nil {
			return nil, nil, nil, err
		}
		l := newNearListener(far)
		dialed := make(chan net.Conn, 1)
		go func() { dialed <- l.dial() }()
		if server, err = l.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return <-dialed, server, func() { _ = l.Close() }, nil
	})
}
