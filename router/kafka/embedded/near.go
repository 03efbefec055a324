package embedded

import (
	"net"
	"sync"
)

// nearListener accepts the connections of another listener, and connections of
// this process ([Broker.Dial]).
type nearListener struct {
	net.Listener
	conns  chan net.Conn
	ended  chan struct{} // closed once the other listener accepts no more
	closed chan struct{}
	once   sync.Once
	err    error // of the other listener
}

func newNearListener(far net.Listener) *nearListener {
	l := &nearListener{Listener: far, conns: make(chan net.Conn), ended: make(chan struct{}), closed: make(chan struct{})}
	go l.acceptFar()
	return l
}

func (l *nearListener) acceptFar() {
	defer close(l.ended)
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			l.err = err
			return
		}
		if !l.hand(conn) {
			_ = conn.Close()
		}
	}
}

// hand gives a connection to Accept, unless the listener is closed.
func (l *nearListener) hand(conn net.Conn) bool {
	select {
	case l.conns <- conn:
		return true
	case <-l.closed:
	case <-l.ended:
	}
	return false
}

// Accept implements [net.Listener].
func (l *nearListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.ended:
		return nil, l.err
	}
}

// Close implements [net.Listener].
func (l *nearListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	err := l.Listener.Close()
	<-l.ended
	return err
}

// dial opens a connection in memory. The connection is nil once the listener is
// closed.
func (l *nearListener) dial() net.Conn {
	client, server := newNearConns(l.Addr())
	if !l.hand(server) {
		return nil
	}
	return client
}
