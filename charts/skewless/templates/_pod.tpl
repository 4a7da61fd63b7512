{{/* The name of a service's settings in the environment that are secret by their kind, where a trial part has no secret. */}}
{{- define "skewless.trialEnv" -}}
{{- if and (has "database" .component.uses) .mesh.bundled.database }}
- name: SKEWLESS_DATABASE_URL
  value: {{ printf "postgresql://skewless@%s/skewless" (index .mesh.addresses "trial-postgres") }}
{{- end }}
{{- if and (has "store" .component.uses) .mesh.bundled.store }}
- name: SKEWLESS_STORE_URL
  value: {{ printf "redis://%s/0" (index .mesh.addresses "trial-valkey") }}
{{- end }}
{{- end -}}

{{/* What a program of the command line must know of the mesh. */}}
{{- define "skewless.clientEnv" -}}
- name: SKEWLESS_ADDRESS
  value: {{ include "skewless.clientAddress" .mesh }}
{{- if .mesh.bundled.broker }}
- name: SKEWLESS_BROKER
  value: {{ index .mesh.addresses "trial-kafka" }}
{{- else }}
- name: SKEWLESS_BROKER
  value: {{ .root.Values.broker.address | quote }}
- name: SKEWLESS_BROKER_PROTOCOL
  value: {{ .root.Values.broker.protocol }}
{{- if .root.Values.broker.credentials.secretName }}
- name: SKEWLESS_BROKER_MECHANISM
  value: {{ .root.Values.broker.mechanism }}
- name: SKEWLESS_BROKER_USERNAME_FILE
  value: /etc/skewless/broker/username
- name: SKEWLESS_BROKER_PASSWORD_FILE
  value: /etc/skewless/broker/password
{{- end }}
{{- if .root.Values.broker.ca.secretName }}
- name: SKEWLESS_BROKER_CA_FILE
  value: /etc/skewless/broker-ca/ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{/* SKEWLESS_ADDRESS: the services of the mesh that run, and all replicas of online. Takes the mesh. */}}
{{- define "skewless.clientAddress" -}}
{{- $pairs := list -}}
{{- range $name, $component := .components -}}
{{- if $component.service -}}
{{- $address := index $.addresses $name -}}
{{- if $component.headless }}{{ $address = printf "%s-headless:%v" $component.object $component.ports.grpc }}{{ end -}}
{{- $pairs = append $pairs (printf "%s=%s" $component.service $address) -}}
{{- end -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end -}}

{{/* Of every pod: no rights beyond those of an unknown user, as the restricted Pod Security Standard wants it. */}}
{{- define "skewless.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.runAsUser }}
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "skewless.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* A Secret as a volume: keys as files of fixed names; the process waits while it is not there. */}}
{{- define "skewless.secretVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secretName }}
    optional: true
    defaultMode: 0440
    items:
      {{- range $file, $key := .files }}
      - key: {{ $key }}
        path: {{ $file }}
      {{- end }}
{{- end -}}

{{/* Volumes and mounts of a component by its uses, as YAML lists under `volumes` and `mounts`. */}}
{{- define "skewless.volumes" -}}
{{- $values := .root.Values -}}
{{- $component := .component -}}
{{- $secrets := dict -}}
{{- if and (has "database" $component.uses) (not .mesh.bundled.database) -}}
{{- $_ := set $secrets "database" (dict "secretName" $values.database.url.secretName "files" (dict "url" $values.database.url.key)) -}}
{{- end -}}
{{- if and (has "store" $component.uses) (not .mesh.bundled.store) -}}
{{- $_ := set $secrets "store" (dict "secretName" $values.store.url.secretName "files" (dict "url" $values.store.url.key)) -}}
{{- with $values.store.ca -}}
{{- if .secretName }}{{ $_ := set $secrets "store-ca" (dict "secretName" .secretName "files" (dict "ca.crt" .key)) }}{{ end -}}
{{- end -}}
{{- with $values.store.certificate -}}
{{- if .secretName -}}
{{- $_ := set $secrets "store-certificate" (dict "secretName" .secretName "files" (dict "tls.crt" .certificateKey "tls.key" .keyKey)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (has "broker" $component.uses) (not .mesh.bundled.broker) -}}
{{- with $values.broker.credentials -}}
{{- if .secretName -}}
{{- $_ := set $secrets "broker" (dict "secretName" .secretName "files" (dict "username" .usernameKey "password" .passwordKey)) -}}
{{- end -}}
{{- end -}}
{{- with $values.broker.ca -}}
{{- if .secretName }}{{ $_ := set $secrets "broker-ca" (dict "secretName" .secretName "files" (dict "ca.crt" .key)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if eq ($component.service | default "") "online" -}}
{{- with $values.access.tls -}}
{{- if .secretName -}}
{{- $_ := set $secrets "tls" (dict "secretName" .secretName "files" (dict "tls.crt" .certificateKey "tls.key" .keyKey)) -}}
{{- end -}}
{{- end -}}
{{- with $values.access.clientCa -}}
{{- if .secretName }}{{ $_ := set $secrets "client-ca" (dict "secretName" .secretName "files" (dict "ca.crt" .key)) }}{{ end -}}
{{- end -}}
{{- end -}}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ $component.tmpSizeLimit }}
  {{- if $component.service }}
  - name: settings
    configMap:
      name: {{ $component.object }}
  {{- end }}
  {{- range $name, $secret := $secrets }}
  {{- include "skewless.secretVolume" (merge (dict "name" $name) $secret) | nindent 2 }}
  {{- end }}
  {{- if and (has "lake" $component.uses) (ne .mesh.lake "url") }}
  - name: lake
    persistentVolumeClaim:
      claimName: {{ $values.lake.volume.existingClaim | default (printf "%s-lake" .mesh.name) }}
  {{- end }}
  {{- if $component.standsFor }}
  - name: data
    {{- if or $component.data.existingClaim $component.data.size }}
    persistentVolumeClaim:
      claimName: {{ $component.data.existingClaim | default $component.object }}
    {{- else }}
    emptyDir: {}
    {{- end }}
  {{- end }}
  {{- with $component.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
mounts:
  - name: tmp
    mountPath: /tmp
  {{- if $component.service }}
  - name: settings
    mountPath: /etc/skewless/settings
    readOnly: true
  {{- end }}
  {{- range $name, $secret := $secrets }}
  - name: {{ $name }}
    mountPath: /etc/skewless/{{ $name }}
    readOnly: true
  {{- end }}
  {{- if and (has "lake" $component.uses) (ne .mesh.lake "url") }}
  - name: lake
    mountPath: /lake
  {{- end }}
  {{- if $component.standsFor }}
  - name: data
    mountPath: /data
  {{- end }}
  {{- with $component.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Probes. Services: health by gRPC, where `live` does not depend on anything else. Trial parts: their port. */}}
{{- define "skewless.probes" -}}
{{- $root := .root -}}
{{- with .component -}}
{{- $probes := .probes -}}
{{- if .service -}}
{{- $port := .ports.grpc -}}
{{- if include "skewless.hasHealthPort" (dict "root" $root "component" .) }}{{ $port = include "skewless.healthPort" $ | int }}{{ end -}}
startupProbe:
  grpc: {port: {{ $port }}, service: live}
  periodSeconds: 2
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ divf $probes.startSeconds 2 | ceil }}
livenessProbe:
  grpc: {port: {{ $port }}, service: live}
  periodSeconds: {{ $probes.livenessPeriodSeconds }}
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ $probes.failureThreshold }}
readinessProbe:
  grpc: {port: {{ $port }}}
  periodSeconds: {{ $probes.readinessPeriodSeconds }}
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ $probes.failureThreshold }}
{{- else -}}
{{- range $port, $number := .ports -}}
startupProbe:
  tcpSocket: {port: {{ $port }}}
  periodSeconds: 2
  failureThreshold: {{ divf $probes.startSeconds 2 | ceil }}
livenessProbe:
  tcpSocket: {port: {{ $port }}}
  periodSeconds: {{ $probes.livenessPeriodSeconds }}
  failureThreshold: {{ $probes.failureThreshold }}
readinessProbe:
  tcpSocket: {port: {{ $port }}}
  periodSeconds: {{ $probes.readinessPeriodSeconds }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The pod of a component, template of a workload: metadata and spec.
Takes (dict "root" $ "mesh" MESH "name" NAME "component" the component of the mesh).
*/}}
{{- define "skewless.pod" -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- $selector := include "skewless.selector" (dict "root" $root "component" .name) -}}
{{- $volumes := include "skewless.volumes" . | fromYaml -}}
{{- $together := and (has "lake" $component.uses) (ne .mesh.lake "url") (not (has "ReadWriteMany" $root.Values.lake.volume.accessModes)) -}}
metadata:
  labels:
    {{- $selector | nindent 4 }}
    app.kubernetes.io/part-of: {{ $root.Chart.Name }}
    {{- if $together }}
    skewless.io/lake: {{ .mesh.name }}
    {{- end }}
    {{- with mergeOverwrite (deepCopy $root.Values.commonLabels) $component.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ .name }}
    {{- if $component.service }}
    checksum/settings: {{ include "skewless.settings" . | sha256sum }}
    {{- end }}
    {{- with $component.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ $component.serviceAccount.name | default $component.object }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $component.restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with $component.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $component.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "skewless.podSecurity" $root | nindent 4 }}
  containers:
    - name: {{ .name }}
      image: {{ include "skewless.image" (dict "root" $root "component" .name "image" $component.image) }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      {{- with $component.command }}
      command: {{ toJson . }}
      {{- end }}
      {{- with $component.args }}
      args:
        {{- range . }}
        - {{ ternary (index $.mesh.addresses $.name) . (eq . "ADDRESS") | quote }}
        {{- end }}
      {{- end }}
      {{- $env := list }}
      {{- if $component.service }}
      {{- $env = append $env (dict "name" "SKEWLESS_SETTINGS_FILE" "value" "/etc/skewless/settings/settings.toml") }}
      {{- $env = concat $env (include "skewless.trialEnv" . | fromYamlArray) }}
      {{- if $root.Values.telemetry.otlpEndpoint }}
      {{- $env = append $env (dict "name" "SKEWLESS_OTLP_ENDPOINT" "value" $root.Values.telemetry.otlpEndpoint) }}
      {{- range $variable, $path := dict "POD_NAMESPACE" "metadata.namespace" "POD_NAME" "metadata.name" "NODE_NAME" "spec.nodeName" }}
      {{- $env = append $env (dict "name" $variable "valueFrom" (dict "fieldRef" (dict "apiVersion" "v1" "fieldPath" $path))) }}
      {{- end }}
      {{- $attributes := "k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(POD_NAME),k8s.node.name=$(NODE_NAME)" }}
      {{- $env = append $env (dict "name" "OTEL_RESOURCE_ATTRIBUTES" "value" $attributes) }}
      {{- end }}
      {{- else if eq .name "cli" }}
      {{- $env = include "skewless.clientEnv" . | fromYamlArray }}
      {{- end }}
      {{- if and (has "lake" $component.uses) (eq .mesh.lake "url") }}
      {{- range $variable, $value := $root.Values.lake.env }}
      {{- $env = append $env (dict "name" $variable "value" $value) }}
      {{- end }}
      {{- end }}
      {{- with concat $env $component.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if and (has "lake" $component.uses) (eq .mesh.lake "url") $root.Values.lake.credentials.secretName }}
      # A variable cannot come later, unlike a file: the container is made once the Secret is there.
      envFrom:
        - secretRef:
            name: {{ $root.Values.lake.credentials.secretName }}
      {{- end }}
      {{- with $component.ports }}
      ports:
        {{- range $port, $number := . }}
        - name: {{ $port }}
          containerPort: {{ $number }}
        {{- end }}
        {{- if include "skewless.hasHealthPort" (dict "root" $root "component" $component) }}
        - name: health
          containerPort: {{ include "skewless.healthPort" $root }}
        {{- end }}
      {{- end }}
      {{- if $component.ports }}
      {{- include "skewless.probes" (dict "root" $root "component" $component) | nindent 6 }}
      {{- end }}
      {{- if $component.drainSeconds }}
      # No new calls come once the end has got around; those that run end within the grace of the process.
      lifecycle:
        preStop:
          sleep:
            seconds: {{ $component.drainSeconds }}
      {{- end }}
      resources:
        {{- toYaml $component.resources | nindent 8 }}
      securityContext:
        {{- include "skewless.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        {{- toYaml $volumes.mounts | nindent 8 }}
  volumes:
    {{- toYaml $volumes.volumes | nindent 4 }}
  {{- with $component.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $component.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $component.affinity }}
  affinity:
    {{- toYaml $component.affinity | nindent 4 }}
  {{- else if $together }}
  # The volume of the lake may be mounted on one node only.
  affinity:
    podAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        - topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              app.kubernetes.io/instance: {{ $root.Release.Name }}
              skewless.io/lake: {{ .mesh.name }}
  {{- end }}
  {{- if $component.scales }}
  {{- with $component.topologySpread }}
  topologySpreadConstraints:
    {{- range . }}
    - topologyKey: {{ .topologyKey }}
      maxSkew: {{ .maxSkew | default 1 }}
      whenUnsatisfiable: {{ .whenUnsatisfiable | default "ScheduleAnyway" }}
      labelSelector:
        matchLabels:
          {{- $selector | nindent 10 }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}
