package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gofrs/flock"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Broker is the embedded broker: one Kafka broker in this process, for one
// machine, on disk. Any Kafka client can use it.
//
// A killed process loses nothing that was acknowledged. A machine that loses
// its power loses what the operating system had not written yet, unless the
// broker was started with sync, which costs a disk write for each batch.
type Broker struct {
	cluster *kfake.Cluster
	lock    *flock.Flock
	address string
}

// ErrDataInUse is returned when another broker has the data folder.
var ErrDataInUse = errors.New("in use by another process")

// Start starts a broker on address, host:port, with its data in dir, for
// clients of that security.
func Start(address, dir string, sync bool, security Security, log *slog.Logger) (*Broker, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("broker address: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("broker address %s: %w", address, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("broker data folder: %w", err)
	}
	// kfake takes no lock of its own: two would write into each other's files.
	lock := flock.New(filepath.Join(dir, "lock"))
	if locked, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("lock broker data folder %s: %w", dir, err)
	} else if !locked {
		return nil, fmt.Errorf("broker data folder %s is %w", dir, ErrDataInUse)
	}
	opts, err := security.options(dir)
	if err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("broker: %w", err)
	}
	opts = append(opts,
		kfake.Ports(port),
		kfake.ClusterID("millrace"),
		kfake.DataDir(dir),
		kfake.WithLogger(brokerLog{log}),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			listener, err := new(net.ListenConfig).Listen(context.Background(), network, address)
			if err != nil {
				return nil, err
			}
			return advertised{listener, host}, nil
		}),
	)
	if sync {
		opts = append(opts, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		_ = lock.Unlock()
		var listen *net.OpError
		if errors.As(err, &listen) {
			return nil, fmt.Errorf("broker can't listen on %s: %w", address, err)
		}
		return nil, fmt.Errorf("start broker on %s: %w", dir, err)
	}
	newStaleMembers(comeWithin).watch(cluster)
	return &Broker{cluster: cluster, lock: lock, address: cluster.ListenAddrs()[0]}, nil
}

// Addr is where the broker listens, as host:port.
func (b *Broker) Addr() string { return b.address }

// Cluster is what the broker is made of, for tests that make it fail.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close writes everything down, and stops.
func (b *Broker) Close() error {
	b.cluster.Close()
	return b.lock.Unlock()
}

// advertised listens on one address and tells clients the name it was
// configured by.
type advertised struct {
	net.Listener
	host string
}

type advertisedAddr struct {
	net.Addr
	text string
}

func (a advertisedAddr) String() string { return a.text }

func (a advertised) Addr() net.Addr {
	addr := a.Listener.Addr()
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil || a.host == "" {
		return addr
	}
	return advertisedAddr{addr, net.JoinHostPort(a.host, port)}
}

// brokerLog passes on what the broker says is wrong, and keeps the rest for
// debugging.
type brokerLog struct{ log *slog.Logger }

func (l brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	}
	if l.log.Enabled(context.Background(), to) {
		l.log.Log(context.Background(), to, fmt.Sprintf(format, args...), "component", "broker")
	}
}
