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

// far is the throughput with a far broker, such as a broker with replicas in other
// places. A program that handles a message at a time waits for each answer. The far
// broker is embedded, in a process of its own; requests and answers are late.
func far(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		t, err := broker.start(ctx, dir)
		if err != nil {
			return err
		}
		defer t.stop()
		before, was := os.LookupEnv("KAFKA_BROKERS")
		if err := os.Setenv("KAFKA_BROKERS", t.url); err != nil { // for contenders, too
			return err
		}
		defer func() {
			if _ = os.Unsetenv("KAFKA_BROKERS"); was {
				_ = os.Setenv("KAFKA_BROKERS", before)
			}
		}()
		third := *b
		third.commands /= 3
		one := "query_service.read_models=users"
		made, err := compare(ctx, &third, plain, millrace(one))
		if err != nil {
			return err
		}
		plain := median(made[0].perSecond)
		for i, producers := range []string{"one producer", "a producer for each partition"} {
			ours := median(made[1+i].perSecond)
			rows = append(rows, row{
				fmt.Sprintf("POST to visible, one read model, the broker %s away, %s", away, producers), perSecond(ours),
				"plain Watermill " + perSecond(plain), ours / plain, "",
			})
		}
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
