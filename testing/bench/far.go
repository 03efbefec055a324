package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// away is the round-trip time to the far broker.
const away = 10 * time.Millisecond

var broker = contender{"a broker that is far", self("far-broker")}

// far is throughput and latency with a far broker, such as a broker with replicas in
// other places. A program that handles a message at a time waits for each answer. The
// far broker is embedded, in a process of its own; requests and answers are late.
func far(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		t, err := broker.start(ctx, dir)
		if err != nil {
			return err
		}
		defer t.stop()
		before, was := os.LookupEnv("KAFKA_BROKERS")
		if err := os.Setenv("KAFKA_BROKERS", t.commands); err != nil { // for contenders, too
			return err
		}
		defer func() {
			if _ = os.Unsetenv("KAFKA_BROKERS"); was {
				_ = os.Setenv("KAFKA_BROKERS", before)
			}
		}()
		made, err := compare(ctx, b.part(3), plain, millrace())
		if err != nil {
			return err
		}
		rows = append(rows, row{
			fmt.Sprintf("POST to visible, the broker %s away, %d connections", away, b.clients), perSecond(made[1].rate()),
			named("plain Watermill", perSecond(made[0].rate())), made[1].rate() / made[0].rate(), atLeast(2.5, 1.5),
		})
		slow, err := latencyInTurn(ctx, b, latencyRates[:1], []contender{plain, millrace()}, nil)
		if err != nil {
			return err
		}
		ours, limit := median(slow[0][1].p50), median(slow[0][0].p50)
		rows = append(rows, row{
			fmt.Sprintf("POST to visible, the broker %s away, %d/s, p50", away, latencyRates[0]), milliseconds(ours),
			named("plain Watermill", milliseconds(limit)), ours / limit, goal{},
		})
		return nil
	})
	return rows, err
}

// serveFarBroker serves an embedded broker until the context ends.
func serveFarBroker(ctx context.Context, dir string, out io.Writer) error {
	cluster, err := kfake.NewCluster(kfake.Ports(0), kfake.DataDir(filepath.Join(dir, "broker")), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		listener, err := new(net.ListenConfig).Listen(ctx, network, address)
		return lateListener{listener}, err
	}))
	if err != nil {
		return err
	}
	defer cluster.Close()
	fmt.Fprintf(out, "commands %s\n\n", cluster.ListenAddrs()[0])
	<-ctx.Done()
	return nil
}

// lateListener accepts connections with late requests and answers.
type lateListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l lateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	inside, outside := net.Pipe()
	go carry(conn, outside)
	go carry(outside, conn)
	return inside, nil
}

// parcel is a piece of a connection, with the time of its arrival.
type parcel struct {
	bytes []byte
	due   time.Time
}

// carry carries bytes from a connection to another, late by half of away. When a
// connection ends, carry ends both.
func carry(from, to net.Conn) {
	road := make(chan parcel, 1<<12)
	go func() {
		defer func() { _ = from.Close() }()
		for p := range road {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.bytes); err != nil {
				_ = to.Close()
			}
		}
		_ = to.Close()
	}()
	for {
		bytes := make([]byte, 64<<10)
		n, err := from.Read(bytes)
		if n > 0 {
			road <- parcel{bytes[:n], time.Now().Add(away / 2)}
		}
		if err != nil {
			close(road)
			return
		}
	}
}
