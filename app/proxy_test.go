package main

import (
	"io"
	"net"
	"testing"
)

// proxy is a way to a server, closed until it is opened: who comes before is
// refused.
type proxy struct {
	t               *testing.T
	address, target string
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return &proxy{t, listener.Addr().String(), target}
}

func (p *proxy) open() {
	p.t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return // the test has ended
			}
			go p.carry(from)
		}
	}()
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
