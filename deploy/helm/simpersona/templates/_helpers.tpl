{{- define "simpersona.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "simpersona.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "simpersona.claim" -}}
{{ .Values.data.existingClaim | default (printf "%s-data" (include "simpersona.name" .)) }}
{{- end }}

{{- define "simpersona.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "simpersona.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* Labels that choose the pods of a kind: (dict "root" $ "kind" "worker"). */}}
{{- define "simpersona.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .kind }}
{{- end }}

{{- define "simpersona.labels" -}}
{{ include "simpersona.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "simpersona.metadata" -}}
name: {{ include "simpersona.name" .root }}-{{ .kind }}
labels:
  {{- include "simpersona.labels" . | nindent 2 }}
{{- end }}

{{- define "simpersona.usesSasl" -}}
{{- if hasPrefix "SASL" .Values.kafka.securityProtocol }}yes{{ end }}
{{- end }}

{{- define "simpersona.usesTls" -}}
{{- if hasSuffix "SSL" .Values.kafka.securityProtocol }}yes{{ end }}
{{- end }}

{{/* In words, which a pattern of values.schema.json would not be. It may hold a password, so it is not repeated. */}}
{{- define "simpersona.checkStore" -}}
{{- if not (regexMatch `^$|^rediss?://[^/]+.*$|^rediss?\+cluster://[^/]+/?(\?.*)?$|^rediss?\+sentinel://[^/]+/[^/].*$` .Values.store.url) }}
{{- fail "store.url is no address of an online store: write redis://host:6379/0 or rediss:// (one server), redis+cluster://host:6379,host2:6379 (a cluster), or redis+sentinel://host:26379,host2:26379/name" }}
{{- end }}
{{- end }}

{{/* What values.schema.json cannot compare: a worker beyond the partitions has nothing to do. */}}
{{- define "simpersona.checkWorkers" -}}
{{- $most := int .Values.topics.partitions }}
{{- $scaling := .Values.worker.autoscaling }}
{{- $asked := dict "worker.replicas" .Values.worker.replicas }}
{{- if $scaling.enabled }}
{{- $asked = dict "worker.autoscaling.minReplicas" $scaling.minReplicas "worker.autoscaling.maxReplicas" $scaling.maxReplicas }}
{{- end }}
{{- range $name, $count := $asked }}
{{- if gt (int $count) $most }}
{{- fail (printf "%s is %d, but topics.partitions is %d: a worker beyond the partitions has nothing to do; ask for %d at most" $name (int $count) $most $most) }}
{{- end }}
{{- end }}
{{- if and $scaling.enabled $scaling.maxReplicas (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) }}
{{- fail (printf "worker.autoscaling.minReplicas is %d, maxReplicas %d: ask for no more at least than at most" (int $scaling.minReplicas) (int $scaling.maxReplicas)) }}
{{- end }}
{{- end }}

{{/* Settings that every command reads. */}}
{{- define "simpersona.env" -}}
- {name: SIMPERSONA_HOME, value: /data}
- {name: SIMPERSONA_LOG_LEVEL, value: {{ .Values.logLevel | quote }}}
- {name: SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS, value: {{ .Values.kafka.bootstrapServers | quote }}}
- {name: SIMPERSONA_KAFKA_SECURITY_PROTOCOL, value: {{ .Values.kafka.securityProtocol }}}
{{- if include "simpersona.usesSasl" . }}
- {name: SIMPERSONA_KAFKA_SASL_MECHANISM, value: {{ .Values.kafka.sasl.mechanism }}}
- name: SIMPERSONA_KAFKA_SASL_USERNAME
  valueFrom: {secretKeyRef: {name: {{ .Values.kafka.sasl.secret }}, key: {{ .Values.kafka.sasl.usernameKey }}}}
- name: SIMPERSONA_KAFKA_SASL_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .Values.kafka.sasl.secret }}, key: {{ .Values.kafka.sasl.passwordKey }}}}
{{- end }}
{{- if include "simpersona.usesTls" . }}
{{- if .Values.kafka.tls.caSecret }}
- {name: SIMPERSONA_KAFKA_SSL_CA_LOCATION, value: /etc/simpersona/kafka-ca/{{ .Values.kafka.tls.caKey }}}
{{- end }}
{{- if .Values.kafka.tls.clientSecret }}
- {name: SIMPERSONA_KAFKA_SSL_CERTIFICATE_LOCATION, value: /etc/simpersona/kafka-client/{{ .Values.kafka.tls.certificateKey }}}
- {name: SIMPERSONA_KAFKA_SSL_KEY_LOCATION, value: /etc/simpersona/kafka-client/{{ .Values.kafka.tls.privateKey }}}
{{- end }}
{{- end }}
{{- if .Values.store.urlSecret }}
- name: SIMPERSONA_STORE_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.store.urlSecret }}, key: {{ .Values.store.urlKey }}}}
{{- else }}
- {name: SIMPERSONA_STORE_URL, value: {{ .Values.store.url | quote }}}
{{- end }}
{{- end }}

{{- define "simpersona.encoderEnv" -}}
{{- if .Values.triton.enabled -}}
- {name: SIMPERSONA_ENCODER_RUNTIME, value: triton}
- {name: SIMPERSONA_ENCODER_TRITON_URL, value: "{{ include "simpersona.name" . }}-triton:8001"}
{{- else -}}
- {name: SIMPERSONA_ENCODER_RUNTIME, value: onnx}
{{- end }}
{{- end }}

{{- define "simpersona.idKeyEnv" -}}
- name: SIMPERSONA_ID_KEY
  valueFrom: {secretKeyRef: {name: {{ .Values.identity.secret }}, key: {{ .Values.identity.key }}}}
{{- end }}

{{/* Settings of values for all pods and for this kind, as a list: (dict "root" $ "env" .Values.worker.env). */}}
{{- define "simpersona.furtherEnv" -}}
{{- range $name, $value := mergeOverwrite (dict) .root.Values.env .env }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end }}

{{- define "simpersona.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "simpersona.mounts" -}}
- {name: data, mountPath: /data}
- {name: tmp, mountPath: /tmp}
- {name: compiled, mountPath: /var/cache/simpersona}
{{- if and (include "simpersona.usesTls" .) .Values.kafka.tls.caSecret }}
- {name: kafka-ca, mountPath: /etc/simpersona/kafka-ca, readOnly: true}
{{- end }}
{{- if and (include "simpersona.usesTls" .) .Values.kafka.tls.clientSecret }}
- {name: kafka-client, mountPath: /etc/simpersona/kafka-client, readOnly: true}
{{- end }}
{{- if .Values.store.caSecret }}
- {name: store-ca, mountPath: /etc/simpersona/store, readOnly: true}
{{- end }}
{{- end }}

{{- define "simpersona.volumes" -}}
- name: data
  persistentVolumeClaim: {claimName: {{ include "simpersona.claim" . }}}
- {name: tmp, emptyDir: {}}
# Compiled code of this pod alone: a cache that pods share would let one run code in the others.
- {name: compiled, emptyDir: {}}
{{- if and (include "simpersona.usesTls" .) .Values.kafka.tls.caSecret }}
- name: kafka-ca
  secret: {secretName: {{ .Values.kafka.tls.caSecret }}}
{{- end }}
{{- if and (include "simpersona.usesTls" .) .Values.kafka.tls.clientSecret }}
- name: kafka-client
  secret: {secretName: {{ .Values.kafka.tls.clientSecret }}}
{{- end }}
{{- if .Values.store.caSecret }}
- name: store-ca
  secret:
    secretName: {{ .Values.store.caSecret }}
    items: [{key: {{ .Values.store.caKey }}, path: ca.crt}]
{{- end }}
{{- end }}

{{/* What every pod of ours has beside its containers: (dict "root" $ "kind" "worker"). */}}
{{- define "simpersona.pod" -}}
serviceAccountName: {{ include "simpersona.serviceAccount" .root }}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- include "simpersona.placement" . | nindent 0 }}
volumes:
  {{- include "simpersona.volumes" .root | nindent 2 }}
{{- end }}

{{- define "simpersona.placement" -}}
{{- $values := .root.Values -}}
{{- with $values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $selector := include "simpersona.selector" . }}
topologySpreadConstraints:
  {{- range uniq (list "kubernetes.io/hostname" $values.topologyKey) }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
  {{- end }}
{{- end }}
{{- define "simpersona.podMetadata" -}}
labels:
  {{- include "simpersona.labels" . | nindent 2 }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}


{{/* The probes of a process whose /metrics answers once it has connected: (dict "port" "metrics"). */}}
{{- define "simpersona.metricsProbes" -}}
startupProbe:   # the first start compiles the fold, and waits for Kafka and the store
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 5
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
{{- end }}
