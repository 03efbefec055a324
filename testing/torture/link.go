package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/millrace/millrace/testing/torture/relay"
)

// link is the way of one process to a server, or to each node of a cluster. The
// nemesis can cut links.
type link struct {
	name    string
	proxies []*toxiproxy.Proxy
	relays  []*relay.Relay // of a link to brokers
	cuts    atomic.Int64
}

// node is a broker, past all proxies.
type node struct {
	id      int32
	address string
}

// network makes links.
type network struct {
	server *toxiproxy.ApiServer
	links  []*link
	relays []*relay.Relay
}

func newNetwork() *network {
	return &network{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// toKafka makes a link to the brokers of a cluster. The brokers seem to be at the
// addresses of the link. The function request, if any, is called with each request;
// while request waits, the request and all behind it on its connection wait.
func (n *network) toKafka(name string, nodes []node, request func([]byte)) (*link, error) {
	l := n.link(name)
	ways := map[int32]string{}
	for _, to := range nodes {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		ways[to.id] = address
	}
	for _, to := range nodes {
		through, err := relay.New(to.address, ways, request)
		if err != nil {
			return nil, err
		}
		n.relays, l.relays = append(n.relays, through), append(l.relays, through)
		if err := n.lead(l, ways[to.id], through.Address()); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// to makes a link to a server. Kafka's brokers need toKafka: a broker tells clients
// its own address.
func (n *network) to(name, server string) (*link, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	l := n.link(name)
	return l, n.lead(l, address, server)
}

func (n *network) link(name string) *link {
	l := &link{name: name}
	n.links = append(n.links, l)
	return l
}

// lead has a link lead from an address to a server.
func (n *network) lead(l *link, address, server string) error {
	proxy := toxiproxy.NewProxy(n.server, l.name, address, server)
	if err := proxy.Start(); err != nil {
		return fmt.Errorf("proxy %s: %w", l.name, err)
	}
	l.proxies = append(l.proxies, proxy)
	return nil
}

func (n *network) close() {
	for _, l := range n.links {
		for _, proxy := range l.proxies {
			proxy.Stop()
		}
	}
	for _, through := range n.relays {
		through.Close()
	}
}

// addresses are the addresses of the link, by comma.
func (l *link) addresses() string {
	var all []string
	for _, proxy := range l.proxies {
		all = append(all, proxy.Listen)
	}
	return strings.Join(all, ",")
}

// toxics are the toxics of toxiproxy that make a fault, by fault. Each works in
// one direction; upstream is to the server.
var toxics = map[string][]string{
	latency:   {`{"name":"%[1]s-down","type":"latency","stream":"downstream","attributes":{"latency":300,"jitter":250}}`, `{"name":"%[1]s-up","type":"latency","stream":"upstream","attributes":{"latency":100,"jitter":90}}`},
	blackHole: {`{"name":"%[1]s-down","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`, `{"name":"%[1]s-up","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`},
	noAnswers: {`{"name":"%[1]s-down","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`},
	noAsking:  {`{"name":"%[1]s-up","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`},
	reset:     {`{"name":"%[1]s-down","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`, `{"name":"%[1]s-up","type":"reset_peer","stream":"upstream","attributes":{"timeout":0}}`},
}

// everywhere is all the ways of a link.
const everywhere = -1

// cut begins a fault on one way of the link, or everywhere.
func (l *link) cut(kind string, on int) error {
	for i, proxy := range l.proxies {
		if on != everywhere && on != i {
			continue
		}
		for _, toxic := range toxics[kind] {
			if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(toxic, fmt.Sprint(kind, l.cuts.Add(1))))); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
	}
	return nil
}

// lose takes the leader of a partition of topic commands away.
func (l *link) lose(partition int32) {
	for _, through := range l.relays {
		through.Lose(partition)
	}
}

// mend ends all faults. A black hole ends with its connections: the swallowed
// bytes are gone.
func (l *link) mend(ctx context.Context) {
	for _, proxy := range l.proxies {
		proxy.Toxics.ResetToxics(ctx)
	}
	for _, through := range l.relays {
		through.Find()
	}
}

// given are the ports of earlier addresses: their processes may be down.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// freeAddress is an address where nobody listens, another one each time. The port
// is below the ports that systems hand out, so nobody takes the address while its
// process is down.
func freeAddress() (string, error) {
	given.Lock()
	defer given.Unlock()
	for range 1000 {
		port := 10000 + portRandom.IntN(20000)
		if given.ports[port] {
			continue
		}
		address := fmt.Sprintf("localhost:%d", port)
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		given.ports[port] = true
		return address, listener.Close()
	}
	return "", fmt.Errorf("no free port between 10000 and 30000")
}
