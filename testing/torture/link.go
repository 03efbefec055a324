package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is one process's own way to a server, which the nemesis can cut.
type link struct {
	proxy *toxiproxy.Proxy
	relay *relay // nil where the server doesn't say where it is
	cuts  atomic.Int64
}

// network makes links.
type network struct {
	server *toxiproxy.ApiServer
	links  []*link
}

func newNetwork() *network {
	return &network{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// toKafka is a way to a broker.
func (n *network) toKafka(name, broker string) (*link, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	relay, err := newRelay(broker, address)
	if err != nil {
		return nil, err
	}
	return n.link(name, address, relay.address(), relay)
}

// toStore is a way to a database.
func (n *network) toStore(name, server string) (*link, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return n.link(name, address, server, nil)
}

func (n *network) link(name, address, server string, r *relay) (*link, error) {
	l := &link{proxy: toxiproxy.NewProxy(n.server, name, address, server), relay: r}
	if err := l.proxy.Start(); err != nil {
		return nil, fmt.Errorf("proxy %s: %w", name, err)
	}
	n.links = append(n.links, l)
	return l, nil
}

func (n *network) close() {
	for _, l := range n.links {
		l.proxy.Stop()
		if l.relay != nil {
			l.relay.close()
		}
	}
}

func (l *link) address() string { return l.proxy.Listen }

// toxics are, by fault, what makes it. Each is of one direction: up is to the
// server.
var toxics = map[string][]string{
	latency:   {`{"name":"%[1]s-down","type":"latency","stream":"downstream","attributes":{"latency":300,"jitter":250}}`, `{"name":"%[1]s-up","type":"latency","stream":"upstream","attributes":{"latency":100,"jitter":90}}`},
	blackHole: {`{"name":"%[1]s-down","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`, `{"name":"%[1]s-up","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`},
	noAnswers: {`{"name":"%[1]s-down","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`},
	noAsking:  {`{"name":"%[1]s-up","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`},
	reset:     {`{"name":"%[1]s-down","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`, `{"name":"%[1]s-up","type":"reset_peer","stream":"upstream","attributes":{"timeout":0}}`},
}

// cut begins a fault.
func (l *link) cut(kind string) error {
	for _, toxic := range toxics[kind] {
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(toxic, fmt.Sprint(kind, l.cuts.Add(1))))); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// mend ends all faults. What a black hole has swallowed is gone, so its
// connections end with it.
func (l *link) mend(ctx context.Context) {
	l.proxy.Toxics.ResetToxics(ctx)
}

// freeAddress is one that nobody listens on: below those that systems hand
// out, so that nobody takes it while its process is down.
func freeAddress() (string, error) {
	for range 1000 {
		address := fmt.Sprintf("localhost:%d", 10000+portRandom.IntN(20000))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		return address, listener.Close()
	}
	return "", fmt.Errorf("no free port between 10000 and 30000")
}
