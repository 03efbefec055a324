package embedded

import (
	"errors"
	"io"
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

// Who writes to an end that has closed still reads what that end said last.
func TestLastBytesAreReadAfterAWrite(t *testing.T) {
	client, server := newNearConns(nil)
	for range 2 {
		if _, err := server.Write([]byte("no")); err != nil {
			t.Fatal(err)
		}
	}
	_ = server.Close()
	write := func() error {
		_, err := client.Write([]byte("hello"))
		return err
	}
	if err := write(); err != nil {
		t.Errorf("before the last bytes are read: %v", err)
	}
	if last, err := io.ReadAll(client); string(last) != "nono" || err != nil {
		t.Errorf("read %q, %v", last, err)
	}
	if err := write(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("after the last bytes were read: %v", err)
	}
}
