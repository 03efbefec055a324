package main

import (
	"log/slog"
	"net"
	"testing"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/kafka/embedded"
)

// Behind a proxy, answers name only the proxy, as broker and as coordinator.
func TestRelayHidesTheBroker(t *testing.T) {
	t.Parallel()
	_, link := relayed(t)
	for _, version := range []sarama.KafkaVersion{sarama.V1_0_0_0, sarama.V2_8_0_0} { // before and after KIP-482
		cfg := sarama.NewConfig()
		cfg.Version = version
		client, err := sarama.NewClient([]string{link.addresses()}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := link.addresses()
		for _, b := range client.Brokers() {
			if portOf(t, b.Addr()) != portOf(t, want) {
				t.Errorf("version %s: a broker at %s, want %s", version, b.Addr(), want)
			}
		}
		coordinator, err := client.Coordinator("group")
		if err != nil {
			t.Fatal(err)
		}
		if portOf(t, coordinator.Addr()) != portOf(t, want) {
			t.Errorf("version %s: the coordinator is at %s, want %s", version, coordinator.Addr(), want)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// relayed starts an embedded broker, and a way to the broker.
func relayed(t *testing.T) (*embedded.Broker, *link) {
	t.Helper()
	broker, err := embedded.Start("localhost:0", t.TempDir(), false, embedded.Security{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	ways := newNetwork()
	t.Cleanup(ways.close)
	way, err := ways.toKafka("test", []node{{0, broker.Addr()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return broker, way
}
