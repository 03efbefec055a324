package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"
)

// kafkaNodes is the number of nodes in a cluster of Apache Kafka. Each node is
// broker and controller. A smaller cluster can't lose a node.
const kafkaNodes = 3

// addKafka adds a cluster of Apache Kafka. Peers reach a node by a link, which the
// nemesis can cut, for replication and for the controllers' log. Clients have
// links of their own.
func (c *cluster) addKafka(jars string) error {
	type listeners struct{ clients, peers, controller string }
	var all []listeners
	var voters, direct []string
	var links []*link
	for i := range kafkaNodes {
		var at listeners
		for _, address := range []*string{&at.clients, &at.peers, &at.controller} {
			free, err := freeAddress()
			if err != nil {
				return err
			}
			*address = free
		}
		l, err := c.net.to("its peers", at.peers)
		if err != nil {
			return err
		}
		toController, err := freeAddress()
		if err != nil {
			return err
		}
		if err := c.net.lead(l, toController, at.controller); err != nil {
			return err
		}
		all, links = append(all, at), append(links, l)
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, toController))
		direct = append(direct, at.clients)
	}
	var formats errgroup.Group
	for i, at := range all {
		name := fmt.Sprintf("kafka-%d", i+1)
		p := &process{
			name: name, role: broker, dir: filepath.Join(c.dir, name), stopBy: stopSignal,
			links: links[i : i+1], ready: inSync(at.clients, int32(i+1)),
		}
		config := filepath.Join(p.dir, "server.properties")
		// A small heap and a quick start: three nodes start often.
		java := []string{"java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
			"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(jars, "*")}
		p.argv = slices.Concat(java, []string{"kafka.Kafka", config})
		if err := os.MkdirAll(p.dir, 0o750); err != nil {
			return err
		}
		proxies := links[i].proxies
		properties := fmt.Sprintf(kafkaProperties, i+1, strings.Join(voters, ","), loopback(at.clients), loopback(at.peers), loopback(at.controller),
			at.clients, proxies[0].Listen, proxies[1].Listen, filepath.Join(p.dir, "data"))
		if err := os.WriteFile(config, []byte(properties), 0o600); err != nil {
			return err
		}
		formats.Go(func() error {
			tool := []string{"kafka.tools.StorageTool", "format", "--cluster-id", "TWlsbHJhY2VUb3J0dXJlZA", "--config", config}
			format := exec.Command(java[0], slices.Concat(java[1:], tool)...)
			if out, err := format.CombinedOutput(); err != nil {
				return fmt.Errorf("format %s: %w\n%s", name, err, out)
			}
			return nil
		})
		c.processes = append(c.processes, p)
		c.nodes = append(c.nodes, node{int32(i + 1), direct[i]})
	}
	return formats.Wait()
}

// loopback is the address of 127.0.0.1 for an address of localhost.
func loopback(address string) string {
	_, port, _ := net.SplitHostPort(address) // one of ours
	return net.JoinHostPort("127.0.0.1", port)
}

// kafkaProperties are the server.properties of a node. A broker loses the lead of
// its partitions after 3 seconds of silence.
const kafkaProperties = `process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=CLIENTS://%s,PEERS://%s,CONTROLLER://%s
advertised.listeners=CLIENTS://%s,PEERS://%s,CONTROLLER://%s
listener.security.protocol.map=CLIENTS:PLAINTEXT,PEERS:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PEERS
controller.listener.names=CONTROLLER
log.dirs=%s
auto.create.topics.enable=false
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
replica.lag.time.max.ms=5000
default.replication.factor=3
min.insync.replicas=2
offsets.topic.num.partitions=4
offsets.topic.replication.factor=3
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=2
background.threads=2
`

// inSync asks a node of Kafka whether the node has joined the cluster, and whether
// all replicas of all partitions are in sync. If a replica were missing, the end
// of another node would stop the partition.
func inSync(address string, id int32) func(context.Context) error {
	return func(context.Context) error {
		config := sarama.NewConfig()
		config.Version = sarama.V2_8_0_0
		config.Net.DialTimeout, config.Net.ReadTimeout = time.Second, 2*time.Second
		config.Metadata.Retry.Max = 0
		client, err := sarama.NewClient([]string{address}, config)
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }()
		if n := len(client.Brokers()); n != kafkaNodes {
			return fmt.Errorf("knows %d brokers", n)
		}
		if _, err := client.Broker(id); err != nil {
			return err
		}
		topics, err := client.Topics()
		if err != nil {
			return err
		}
		for _, topic := range topics {
			all, err := client.Partitions(topic)
			if err != nil {
				return err
			}
			for _, partition := range all {
				copies, err := client.InSyncReplicas(topic, partition)
				if err == nil && len(copies) < kafkaNodes {
					err = fmt.Errorf("%d copies are in sync", len(copies))
				}
				if err != nil {
					return fmt.Errorf("partition %d of %s: %w", partition, topic, err)
				}
			}
		}
		return nil
	}
}
