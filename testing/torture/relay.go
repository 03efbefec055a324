package main

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

// relay carries Kafka's protocol between a client and a broker, and tells the
// client that the broker is elsewhere: a broker says where it is, and clients
// go there, past any proxy, if nobody changes the word.
type relay struct {
	listener net.Listener
	broker   string
	host     string // what clients are told
	port     int32
}

// maxFrame is longer than any message of a run.
const maxFrame = 64 << 20

// newRelay relays to a broker for clients that reach it at an address.
func newRelay(broker, address string) (*relay, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseInt(portText, 10, 32)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: listener, broker: broker, host: host, port: int32(port)}
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

func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) close() { _ = r.listener.Close() }

// asked is a request whose answer says where brokers are.
type asked struct {
	mu sync.Mutex
	by map[int32]kmsg.Response // by correlation id
}

// carry carries frames both ways until either side ends.
func (r *relay) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	broker, err := net.Dial("tcp", r.broker)
	if err != nil {
		return // the client sees it
	}
	defer func() { _ = broker.Close() }()
	a := &asked{by: map[int32]kmsg.Response{}}
	go func() {
		defer func() { _ = broker.Close() }()
		_ = frames(client, broker, a.note) // either side has ended
	}()
	_ = frames(broker, client, func(frame []byte) ([]byte, error) { return r.rewrite(a, frame) })
}

// frames carries frames, each changed.
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

// note remembers a request whose answer has to be changed.
func (a *asked) note(frame []byte) ([]byte, error) {
	if len(frame) < 8 {
		return nil, errShort
	}
	key := int16(binary.BigEndian.Uint16(frame))
	version := int16(binary.BigEndian.Uint16(frame[2:]))
	id := int32(binary.BigEndian.Uint32(frame[4:]))
	response := kmsg.ResponseForKey(key)
	switch response.(type) {
	case *kmsg.MetadataResponse, *kmsg.FindCoordinatorResponse:
		response.SetVersion(version)
		a.mu.Lock()
		a.by[id] = response
		a.mu.Unlock()
	}
	return frame, nil
}

// rewrite changes where an answer says that the broker is.
func (r *relay) rewrite(a *asked, frame []byte) ([]byte, error) {
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
	case *kmsg.MetadataResponse:
		if len(response.Brokers) > 1 {
			return frame, nil // one way leads to one broker only
		}
		for i := range response.Brokers {
			response.Brokers[i].Host, response.Brokers[i].Port = r.host, r.port
		}
	case *kmsg.FindCoordinatorResponse:
		if response.Host != "" {
			response.Host, response.Port = r.host, r.port
		}
		for i := range response.Coordinators {
			if response.Coordinators[i].Host != "" {
				response.Coordinators[i].Host, response.Coordinators[i].Port = r.host, r.port
			}
		}
	}
	return response.AppendTo(frame[:head:head]), nil
}
