{{/* Name of every object. It also checks that the values are not those of an older chart (helm upgrade --reuse-values). */}}
{{- define "gpuwise.fullname" -}}
{{- if not (hasKey .Values "openshift") -}}
{{- fail "the values are those of an older gpuwise chart, because of --reuse-values: upgrade with --reset-then-reuse-values (helm 3.14 or later), or give your values with -f" -}}
{{- end -}}
{{- /* A null removes a key. The message names the key; otherwise a template would fail with a nil pointer. */ -}}
{{- range $path := list "config" "enforce" "exporter" "exporter.serviceAccount" "exporter.sharedGpus" "exporter.webConfig" "grafana" "grafana.dashboards" "grid" "image" "ledger" "ledger.postgresql" "ledger.postgresql.passwordSecret" "networkPolicy" "persistence" "policy" "prices" "prometheus" "prometheus.bearerTokenSecret" "prometheus.settings" "prometheusRule" "ray" "ray.head" "ray.tokenSecret" "ray.workers" "report" "report.email" "report.email.passwordSecret" "report.email.settings" "report.serviceAccount" "report.slack" "report.slack.webhookUrlSecret" "service" "service.tokenSecret" "serviceAccount" "serviceMonitor" -}}
{{- if not (include "gpuwise.hasPath" (list $.Values $path)) -}}
{{- fail (printf "the value %s is null, but gpuwise needs it: remove it to use its default, or set its keys" $path) -}}
{{- end -}}
{{- end -}}
{{- default (ternary .Release.Name (printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride)) (contains (default .Chart.Name .Values.nameOverride) .Release.Name)) .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "gpuwise.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "gpuwise.labels" -}}
{{ include "gpuwise.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: gpuwise
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod; takes root and component. */}}
{{- define "gpuwise.podLabels" -}}
{{ include "gpuwise.labels" . }}
{{- with .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Without a repository: the image that `make image` builds. On a cluster, checks.yaml reports the missing value. */}}
{{- define "gpuwise.image" -}}
{{ printf "%s:%s" (default "localhost/gpuwise" .Values.image.repository) (default .Chart.AppVersion .Values.image.tag) }}
{{- end -}}

{{/*
The exporter's image: beside the other one, with its tag. A digest is that of one image, so checks.yaml requires the
exporter's own.
*/}}
{{- define "gpuwise.exporterImage" -}}
{{- $image := .Values.exporter.image -}}
{{- $beside := printf "%s-exporter" (default "localhost/gpuwise" .Values.image.repository) -}}
{{ printf "%s:%s" (default $beside $image.repository) (default .Chart.AppVersion (default .Values.image.tag $image.tag)) }}
{{- end -}}

{{- define "gpuwise.exporterNamespace" -}}
{{ default .Release.Namespace .Values.exporter.namespace }}
{{- end -}}

{{/* Name of a component's service account; takes root, component and the component's values. */}}
{{- define "gpuwise.serviceAccount" -}}
{{ default (printf "%s-%s" (include "gpuwise.fullname" .root) .component) .account.name }}
{{- end -}}

{{- define "gpuwise.serviceAccountOfService" -}}
{{ include "gpuwise.serviceAccount" (dict "root" . "component" "service" "account" .Values.serviceAccount) }}
{{- end -}}

{{- define "gpuwise.serviceAccountOfReport" -}}
{{ include "gpuwise.serviceAccount" (dict "root" . "component" "report" "account" .Values.report.serviceAccount) }}
{{- end -}}

{{- define "gpuwise.serviceAccountOfExporter" -}}
{{ include "gpuwise.serviceAccount" (dict "root" . "component" "exporter" "account" .Values.exporter.serviceAccount) }}
{{- end -}}

{{/* A map as JSON, without the keys that are null. */}}
{{- define "gpuwise.withoutNulls" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $kept $key $value -}}{{- end -}}
{{- end -}}
{{ toJson $kept }}
{{- end -}}

{{/* What the Pod Security level "restricted" requires of a container; the exporter adds its user. */}}
{{- define "gpuwise.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "gpuwise.podSecurity" -}}
{{- $context := include "gpuwise.withoutNulls" .Values.podSecurityContext | fromJson -}}
{{- if or .Values.openshift (.Capabilities.APIVersions.Has "security.openshift.io/v1") -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{ toYaml $context }}
{{- end -}}

{{/*
JSON: the exporter's nodeSelector. The user's value would be merged with a default in values.yaml instead of replacing it.
With a required node affinity there is no default: a node would need both.
*/}}
{{- define "gpuwise.exporterNodeSelector" -}}
{{- $given := include "gpuwise.withoutNulls" .Values.exporter.nodeSelector | fromJson -}}
{{- $affinity := dig "nodeAffinity" dict (default dict .Values.exporter.affinity) | default dict -}}
{{- $usual := ternary dict (dict "nvidia.com/gpu.present" "true") (hasKey $affinity "requiredDuringSchedulingIgnoredDuringExecution") -}}
{{ toJson (default $usual $given) }}
{{- end -}}

{{/* JSON: one namespace of the cluster, "" if it does not exist or there is no cluster (helm template). */}}
{{- define "gpuwise.clusterNamespace" -}}
{{- $name := .name -}}
{{- range (lookup "v1" "Namespace" "" "").items -}}
{{- if eq .metadata.name $name -}}{{ toJson . }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* "true" if the chart has to create the exporter's namespace; another release's namespace is not changed. */}}
{{- define "gpuwise.createsExporterNamespace" -}}
{{- $name := include "gpuwise.exporterNamespace" . -}}
{{- if and .Values.exporter.enabled .Values.exporter.createNamespace (ne $name .Release.Namespace) -}}
{{- $existing := include "gpuwise.clusterNamespace" (dict "name" $name) | default "{}" | fromJson -}}
{{- $annotations := dig "metadata" "annotations" dict $existing -}}
{{- if or (not $existing) (and (eq .Release.Name (get $annotations "meta.helm.sh/release-name")) (eq .Release.Namespace (get $annotations "meta.helm.sh/release-namespace"))) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gpuwise.tokenFile" -}}
{{ ternary "/etc/gpuwise-service/token" "/var/lib/gpuwise/service-token" (ne "" .Values.service.tokenSecret.name) }}
{{- end -}}

{{/* Path of a user's CSV file, "" without one; takes the name of its value and the value. */}}
{{- define "gpuwise.csvPath" -}}
{{- if .csv.csv -}}
/etc/gpuwise/{{ .name }}.csv
{{- else if .csv.existingConfigMap -}}
/etc/gpuwise-{{ .name }}/{{ .csv.key }}
{{- end -}}
{{- end -}}

{{/* gpuwise.yaml. The schema rejects keys of `config` for which the chart has its own values. */}}
{{- define "gpuwise.configuration" -}}
{{- $prometheus := dict "url" .Values.prometheus.url -}}
{{- if .Values.prometheus.bearerTokenSecret.name -}}
{{- $_ := set $prometheus "bearer_token_file" "/etc/gpuwise-prometheus/token" -}}
{{- end -}}
{{- $own := dict "cluster_name" .Values.clusterName -}}
{{- $_ := set $own "policy" (dict "mode" .Values.mode) -}}
{{- $_ := set $own "prometheus" (merge $prometheus .Values.prometheus.settings) -}}
{{- $_ := set $own "service" (dict "token_file" (include "gpuwise.tokenFile" .)) -}}
{{- /* With these namespaces, a person who uses this file elsewhere finds the Lease, the stop switch and the ledger's head. */ -}}
{{- $lead := dict "lead" (dict "namespace" .Release.Namespace) -}}
{{- $ledger := dict "path" "/var/lib/gpuwise/ledger.db" "anchor_namespace" .Release.Namespace -}}
{{- with .Values.ledger.postgresql -}}
{{- if .url -}}{{- $_ := set $ledger "url" .url -}}{{- end -}}
{{- if and .url .passwordSecret.name -}}{{- $_ := set $ledger "password_file" "/etc/gpuwise-ledger/password" -}}{{- end -}}
{{- end -}}
{{- $_ := set $own "ledger" $ledger -}}
{{- $report := dict -}}
{{- if .Values.report.timeZone -}}{{- $_ := set $report "time_zone" .Values.report.timeZone -}}{{- end -}}
{{- with .Values.report.email -}}
{{- $email := deepCopy .settings -}}
{{- if .passwordSecret.name -}}{{- $_ := set $email "password_file" "/etc/gpuwise-email/password" -}}{{- end -}}
{{- if $email -}}{{- $_ := set $report "email" $email -}}{{- end -}}
{{- end -}}
{{- if .Values.report.slack.webhookUrlSecret.name -}}
{{- $_ := set $report "slack" (dict "webhook_url_file" "/etc/gpuwise-slack/url") -}}
{{- end -}}
{{- if .Values.report.teams -}}{{- $_ := set $report "teams" .Values.report.teams -}}{{- end -}}
{{- if $report -}}{{- $_ := set $own "report" $report -}}{{- end -}}
{{- if .Values.ray.enabled -}}
{{- $address := printf "ray://%s-head-svc.%s.svc:10001" (include "gpuwise.rayName" .) .Release.Namespace -}}
{{- $_ := set $own "schedule" (dict "executor" "ray" "ray_address" $address) -}}
{{- end -}}
{{- range $name := list "prices" "grid" -}}
{{- with include "gpuwise.csvPath" (dict "name" $name "csv" (get $.Values $name)) -}}
{{- $_ := set $own $name . -}}
{{- end -}}
{{- end -}}
{{ toYaml (merge $own (dict "policy" (deepCopy .Values.policy)) (deepCopy .Values.config) $lead) }}
{{- end -}}

{{/* "true" if the report is sent to somebody. */}}
{{- define "gpuwise.sendsReport" -}}
{{- if or .Values.report.email.settings.host .Values.report.slack.webhookUrlSecret.name .Values.report.teams -}}true{{- end -}}
{{- end -}}

{{/* The secrets of the channels, by file: for the report alone. */}}
{{- define "gpuwise.channelMounts" -}}
{{- if .Values.report.email.passwordSecret.name }}
- name: email-password
  mountPath: /etc/gpuwise-email
  readOnly: true
{{- end }}
{{- if .Values.report.slack.webhookUrlSecret.name }}
- name: slack-webhook
  mountPath: /etc/gpuwise-slack
  readOnly: true
{{- end }}
{{- range .Values.report.secrets }}
- name: report-{{ . }}
  mountPath: /etc/gpuwise-report/{{ . }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "gpuwise.channelVolumes" -}}
{{- with .Values.report.email.passwordSecret }}
{{- if .name }}
- name: email-password
  secret:
    secretName: {{ .name }}
    items:
      - key: {{ .key }}
        path: password
{{- end }}
{{- end }}
{{- with .Values.report.slack.webhookUrlSecret }}
{{- if .name }}
- name: slack-webhook
  secret:
    secretName: {{ .name }}
    items:
      - key: {{ .key }}
        path: url
{{- end }}
{{- end }}
{{- range .Values.report.secrets }}
- name: report-{{ . }}
  secret:
    secretName: {{ . }}
{{- end }}
{{- end -}}

{{/* The secrets for Prometheus, by file: for the loop and for the nodes of Ray. */}}
{{- define "gpuwise.prometheusMounts" -}}
{{- if .Values.prometheus.bearerTokenSecret.name }}
- name: prometheus-token
  mountPath: /etc/gpuwise-prometheus
  readOnly: true
{{- end }}
{{- range .Values.prometheus.secrets }}
- name: secret-{{ . }}
  mountPath: /etc/gpuwise-secrets/{{ . }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "gpuwise.prometheusVolumes" -}}
{{- with .Values.prometheus.bearerTokenSecret }}
{{- if .name }}
- name: prometheus-token
  secret:
    secretName: {{ .name }}
    items:
      - key: {{ .key }}
        path: token
{{- end }}
{{- end }}
{{- range .Values.prometheus.secrets }}
- name: secret-{{ . }}
  secret:
    secretName: {{ . }}
{{- end }}
{{- end -}}

{{/* Mounts and volumes of every container that runs the loop: configuration, ledger, temporary files. */}}
{{- define "gpuwise.mounts" -}}
- name: config
  mountPath: /etc/gpuwise
  readOnly: true
- name: data
  mountPath: /var/lib/gpuwise
- name: tmp
  mountPath: /tmp
{{- with include "gpuwise.prometheusMounts" . }}
{{ . }}
{{- end }}
{{- if .Values.ray.enabled }}
{{ include "gpuwise.rayTokenMount" . }}
{{- end }}
{{- if and .Values.ledger.postgresql.url .Values.ledger.postgresql.passwordSecret.name }}
- name: ledger-password
  mountPath: /etc/gpuwise-ledger
  readOnly: true
{{- end }}
{{- range $name := list "prices" "grid" }}
{{- with get $.Values $name }}
{{- if .existingConfigMap }}
- name: {{ $name }}
  mountPath: /etc/gpuwise-{{ $name }}
  readOnly: true
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* "true" if the data are on a volume that stays. With PostgreSQL only hours that can be read again are there. */}}
{{- define "gpuwise.persistent" -}}
{{ and .Values.persistence.enabled (not .Values.ledger.postgresql.url) }}
{{- end -}}

{{- define "gpuwise.volumes" -}}
- name: config
  configMap:
    name: {{ include "gpuwise.fullname" . }}
- name: data
  {{- if eq (include "gpuwise.persistent" .) "true" }}
  persistentVolumeClaim:
    claimName: {{ default (include "gpuwise.fullname" .) .Values.persistence.existingClaim }}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: tmp
  emptyDir: {}
{{- with include "gpuwise.prometheusVolumes" . }}
{{ . }}
{{- end }}
{{- if .Values.ray.enabled }}
{{ include "gpuwise.rayTokenVolume" . }}
{{- end }}
{{- with .Values.ledger.postgresql }}
{{- if and .url .passwordSecret.name }}
- name: ledger-password
  secret:
    secretName: {{ .passwordSecret.name }}
    items:
      - key: {{ .passwordSecret.key }}
        path: password
{{- end }}
{{- end }}
{{- range $name := list "prices" "grid" }}
{{- with get $.Values $name }}
{{- if .existingConfigMap }}
- name: {{ $name }}
  configMap:
    name: {{ .existingConfigMap }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name of the Ray cluster. KubeRay cuts the first letters of its service, NAME-head-svc, beyond 50 characters. */}}
{{- define "gpuwise.rayName" -}}
{{ printf "%s-ray" (include "gpuwise.fullname" . | trunc 37 | trimSuffix "-") }}
{{- end -}}

{{/* Pod of a Ray node; takes root and resources. It mounts what reading Prometheus needs, and nothing else. */}}
{{- define "gpuwise.rayPod" -}}
{{- $root := .root -}}
metadata:
  labels: {{- include "gpuwise.podLabels" (dict "root" $root "component" "ray") | nindent 4 }}
spec:
  automountServiceAccountToken: false
  {{- with $root.Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext: {{- include "gpuwise.podSecurity" $root | nindent 4 }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: ray
      image: {{ include "gpuwise.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      env: {{- include "gpuwise.rayEnv" $root | nindent 8 }}
      securityContext: {{- include "gpuwise.containerSecurity" $root | nindent 8 }}
      # KubeRay's own probes need wget and Ray's dashboard.
      livenessProbe:
        exec: {command: [ray, health-check]}
        initialDelaySeconds: 60
        periodSeconds: 30
        timeoutSeconds: 20
      readinessProbe:
        exec: {command: [ray, health-check]}
        periodSeconds: 30
        timeoutSeconds: 20
      resources: {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- include "gpuwise.rayTokenMount" $root | nindent 8 }}
        {{- include "gpuwise.prometheusMounts" $root | nindent 8 }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- include "gpuwise.rayTokenVolume" $root | nindent 4 }}
    {{- include "gpuwise.prometheusVolumes" $root | nindent 4 }}
{{- end -}}

{{/* Ray's authentication: the token is a file, not a variable. */}}
{{- define "gpuwise.rayEnv" -}}
- name: RAY_AUTH_MODE
  value: token
- name: RAY_AUTH_TOKEN_PATH
  value: /etc/gpuwise-ray/token
- name: HOME
  value: /tmp
{{- end -}}

{{- define "gpuwise.rayTokenMount" -}}
- name: ray-token
  mountPath: /etc/gpuwise-ray
  readOnly: true
{{- end -}}

{{- define "gpuwise.rayTokenVolume" -}}
- name: ray-token
  secret:
    secretName: {{ required "ray.tokenSecret.name is empty, but without a token anybody who reaches Ray runs code in it: create a secret with a random token, and name it" .Values.ray.tokenSecret.name }}
    items:
      - key: {{ .Values.ray.tokenSecret.key }}
        path: token
{{- end -}}

{{/* "yes" if there is a section at a dotted path: (list VALUES PATH). */}}
{{- define "gpuwise.hasPath" -}}
{{- $at := index . 0 -}}
{{- range $key := splitList "." (index . 1) -}}
{{- if and (kindIs "map" $at) (hasKey $at $key) -}}{{- $at = index $at $key -}}{{- else -}}{{- $at = false -}}{{- end -}}
{{- end -}}
{{- if kindIs "map" $at -}}yes{{- end -}}
{{- end -}}
