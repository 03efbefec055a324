// Package relay carries Kafka's protocol between services and a broker.
package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Relay carries Kafka's protocol between a client and a broker, and changes the
// addresses of brokers in answers. Without a relay, clients would follow a broker's
// answer to the brokers themselves, past all proxies.
type Relay struct {
	listener net.Listener
	broker   string
	ways     map[int32]way // the addresses for clients, by broker
	request  func([]byte)  // called with each request, before the request goes on; nil for nothing
	lost     lostPartition
}

// way is the address of a broker for clients.
type way struct {
	host string
	port int32
}

// maxFrame is longer than any message of a run.
const maxFrame = 64 << 20

// New starts a relay to a broker. Clients reach the brokers at addresses, by
// broker. The function request, if any, is called with each request; while request
// waits, the request and all behind it on its connection wait.
func New(broker string, addresses map[int32]string, request func([]byte)) (*Relay, error) {
	r := &Relay{broker: broker, ways: map[int32]way{}, request: request}
	for id, address := range addresses {
		host, portText, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		port, err := strconv.ParseInt(portText, 10, 32)
		if err != nil {
			return nil, err
		}
		r.ways[id] = way{host, int32(port)}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r.listener = listener
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go r.carry(conn)
		}
	}()
	return r, nil
}

// Address is the address of the relay.
func (r *Relay) Address() string { return r.listener.Addr().String() }

// Lose takes the leader of a partition of topic commands away.
func (r *Relay) Lose(partition int32) { r.lost.lose(partition) }

// Find gives the partition its leader back.
func (r *Relay) Find() { r.lost.find() }

// Close ends the relay. Connections go on.
func (r *Relay) Close() { _ = r.listener.Close() }

// asked has the requests whose answers have addresses of brokers.
type asked struct {
	mu sync.Mutex
	by map[int32]kmsg.Response // by correlation id
}

// carry carries frames both ways until either side ends.
func (r *Relay) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	broker, err := net.Dial("tcp", r.broker)
	if err != nil {
		return // the client sees a closed connection
	}
	defer func() { _ = broker.Close() }()
	a := &asked{by: map[int32]kmsg.Response{}}
	go func() {
		defer func() { _ = broker.Close() }()
		_ = frames(client, broker, func(frame []byte) ([]byte, error) { // either side has ended
			if r.request != nil {
				r.request(frame)
			}
			return r.note(a, frame)
		})
	}()
	_ = frames(broker, client, func(frame []byte) ([]byte, error) { return r.rewrite(a, frame) })
}

// frames carries frames, and changes each frame.
func frames(from io.Reader, to io.Writer, change func([]byte) ([]byte, error)) error {
	var size [4]byte
	for {
		if _, err := io.ReadFull(from, size[:]); err != nil {
			return err
		}
		length := binary.BigEndian.Uint32(size[:])
		if length > maxFrame {
			return fmt.Errorf("a frame of %d bytes", length)
		}
		frame := make([]byte, length)
		if _, err := io.ReadFull(from, frame); err != nil {
			return err
		}
		frame, err := change(frame)
		if err != nil {
			return err
		}
		if _, err := to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
			return err
		}
	}
}

var errShort = errors.New("a frame that is too short")

// note remembers a request whose answer has to be changed, and changes a request
// to a lost partition.
func (r *Relay) note(a *asked, frame []byte) ([]byte, error) {
	if len(frame) < 8 {
		return nil, errShort
	}
	key := int16(binary.BigEndian.Uint16(frame))
	version := int16(binary.BigEndian.Uint16(frame[2:]))
	id := int32(binary.BigEndian.Uint32(frame[4:]))
	response := kmsg.ResponseForKey(key)
	switch response.(type) {
	case *kmsg.MetadataResponse, *kmsg.FindCoordinatorResponse:
	case *kmsg.ProduceResponse:
		changed, err := r.lost.ask(frame, version)
		if changed == nil {
			return frame, err
		}
		frame = changed
	default:
		return frame, nil
	}
	response.SetVersion(version)
	a.mu.Lock()
	a.by[id] = response
	a.mu.Unlock()
	return frame, nil
}

// rewrite changes the addresses of brokers in an answer.
func (r *Relay) rewrite(a *asked, frame []byte) ([]byte, error) {
	if len(frame) < 4 {
		return nil, errShort
	}
	id := int32(binary.BigEndian.Uint32(frame))
	a.mu.Lock()
	response, ok := a.by[id]
	delete(a.by, id)
	a.mu.Unlock()
	if !ok {
		return frame, nil
	}
	head := 4
	if response.IsFlexible() {
		head++ // no tags
	}
	if len(frame) < head {
		return nil, errShort
	}
	if err := response.ReadFrom(frame[head:]); err != nil {
		return nil, err
	}
	switch response := response.(type) {
	case *kmsg.ProduceResponse:
		r.lost.answer(response)
	case *kmsg.MetadataResponse:
		r.lost.learn(response)
		for i := range response.Brokers {
			b := &response.Brokers[i]
			if err := r.lead(b.NodeID, &b.Host, &b.Port); err != nil {
				return nil, err
			}
		}
	case *kmsg.FindCoordinatorResponse:
		if err := r.lead(response.NodeID, &response.Host, &response.Port); err != nil {
			return nil, err
		}
		for i := range response.Coordinators {
			c := &response.Coordinators[i]
			if err := r.lead(c.NodeID, &c.Host, &c.Port); err != nil {
				return nil, err
			}
		}
	}
	return response.AppendTo(frame[:head:head]), nil
}

// lead changes the address of a broker. A broker without a host is no broker.
func (r *Relay) lead(id int32, host *string, port *int32) error {
	if *host == "" {
		return nil
	}
	to, ok := r.ways[id]
	if !ok {
		return fmt.Errorf("there is no way to broker %d", id)
	}
	*host, *port = to.host, to.port
	return nil
}
