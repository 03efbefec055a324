package service

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy is a way to a server. A closed proxy refuses connections.
type proxy struct {
	t               *testing.T
	address, target string

	mu       sync.Mutex
	listener net.Listener
	carried  map[net.Conn]bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	return &proxy{t: t, address: ownAddress(t), target: target, carried: map[net.Conn]bool{}}
}

func (p *proxy) open() {
	p.t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = listener
	p.mu.Unlock()
	p.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return // it was cut, or the test has ended
			}
			p.mu.Lock()
			p.carried[from] = true
			p.mu.Unlock()
			go p.carry(from)
		}
	}()
}

// cut closes the proxy, and ends all connections.
func (p *proxy) cut() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.listener.Close(); err != nil {
		p.t.Fatal(err)
	}
	for from := range p.carried {
		_ = from.Close()
	}
	clear(p.carried)
}

// carry carries bytes both ways until either side ends.
func (p *proxy) carry(from net.Conn) {
	defer func() { _ = from.Close() }()
	to, err := net.Dial("tcp", p.target)
	if err != nil {
		return // the client sees it
	}
	defer func() { _ = to.Close() }()
	go func() {
		defer func() { _ = to.Close() }()
		_, _ = io.Copy(to, from)
	}()
	_, _ = io.Copy(from, to)
}
